"""A cross-encoder as Haystack's ranker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from embedkit.encoders.remote.address import is_address
from embedkit.encoders.remote.reranker import RemoteReranker
from embedkit.encoders.reranker import Reranker
from embedkit.errors import OptionError


@component
class EmbedkitRanker:
    """Orders documents by a reranker: a bundle that reads both, or a server's address. The ``top_k`` best are kept (None: all), each
    with its score."""

    def __init__(self, bundle: str, *, top_k: int | None = 10, variant: str = "auto") -> None:
        self.bundle, self.top_k, self.variant = str(bundle), _positive(top_k), variant
        self._reranker: Reranker | RemoteReranker | None = None

    def warm_up(self) -> None:
        """Load the bundle."""
        if self._reranker is None:
            remote = is_address(self.bundle)
            self._reranker = RemoteReranker(self.bundle) if remote else Reranker.load(self.bundle, variant=self.variant)

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """``documents``: new ones, best first."""
        self.warm_up()
        assert self._reranker is not None
        most = self.top_k if top_k is None else _positive(top_k)
        ranked = self._reranker.rank(query, [one.content or "" for one in documents], most)
        return {"documents": [replace(documents[one.index], score=one.score) for one in ranked]}

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes it of again."""
        return dict(default_to_dict(self, bundle=self.bundle, top_k=self.top_k, variant=self.variant))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmbedkitRanker:
        """The component that was written."""
        made: EmbedkitRanker = default_from_dict(cls, data)
        return made


def _positive(value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise OptionError(f"top_k: expected a positive integer or None, found {value!r}")
    return value
