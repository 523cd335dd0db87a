"""Documents in the order of their relevance to a question, by a bundle that reads both together (a cross-encoder)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from embedkit.checks import items_of
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Item, Renderer
from embedkit.runtime.options import Decode, OnTruncate, check_count
from embedkit.runtime.outputs import activated
from embedkit.vectors.arrays import FloatArray

from .base import BaseEncoder
from .encoder import Encoder
from .info import check_encoder


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document's number in what was given, its score (higher is more relevant), and the document."""

    index: int
    score: float
    document: str


class Reranker:
    """Scores pairs of a question and a document. Several threads may share one.

    A pair's score is the same, bit for bit, whatever it is scored together with. ``encoder`` is the bundle's, whose output
    of kind ``logits`` gives one number a pair.
    """

    def __init__(self, encoder: BaseEncoder) -> None:
        check_encoder(encoder)
        self.encoder = encoder
        self.output = encoder.logits_output()
        self._about = encoder.outputs()[self.output]
        fields = [name for name, default in encoder.fields().items() if default is None]
        if len(fields) != 2 or self._about.dim != 1:
            raise InputError(
                f"this bundle gives {self._about.dim} numbers for the fields {', '.join(fields)}; a reranker's gives one for a question "
                "and a document; classes are read by embedkit.Classifier"
            )
        # A template may have the document first.
        self._query, self._document = ("query", "document") if set(fields) == {"query", "document"} else fields

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        variant: str = "auto",
        engine: str = "auto",
        threads: int | None = None,
        token_budget: int | None = None,
        on_truncate: OnTruncate = "ignore",
        decode: Decode = "exact",
        renderer: Renderer | None = None,
    ) -> Self:
        """Load a bundle; options and errors are those of `Encoder.load`, and `InputError` for a bundle that scores no pairs.
        A long document is cut, which is not told of unless ``on_truncate`` says so."""
        return cls(
            Encoder.load(
                path,
                device=device,
                variant=variant,
                engine=engine,
                threads=threads,
                token_budget=token_budget,
                on_truncate=on_truncate,
                decode=decode,
                renderer=renderer,
            )
        )

    def score(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        fields: Mapping[str, str] | None = None,
        progress: bool | None = False,
    ) -> FloatArray:
        """(n,) float32: the score of each (question, document), through the model's own activation. ``fields`` are texts for
        other fields of its template (``Encoder.fields``), such as an ``instruction``, the same for all pairs."""
        items: list[Item] = []
        for i, pair in enumerate(items_of("pairs", pairs, "pair")):
            if not isinstance(pair, Sequence | np.ndarray) or isinstance(pair, str) or len(pair) != 2:
                raise InputError(f"pair {i}: expected a question and a document, found {pair!r:.60}")
            items.append({**(fields or {}), **self.item(pair[0], pair[1])})
        return self.scores_of(self.encoder.encode(items, output=self.output, progress=progress))

    def scores_of(self, logits: FloatArray) -> FloatArray:
        """(n,) scores through the model's own activation, of the (n, 1) numbers that the `output` gives."""
        return activated(logits, self._about.activation)[:, 0]

    def item(self, query: Any, document: Any) -> Item:
        """What the bundle reads of a question and a document."""
        return {self._query: query, self._document: document}

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        k: int | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        progress: bool | None = False,
    ) -> list[Ranked]:
        """The ``k`` most relevant documents (all by default), best first; equally relevant ones in the given order. ``fields``
        are as in `score`."""
        if isinstance(documents, str):
            raise InputError("documents: expected a list of texts, found one; put it in a list")
        documents = list(items_of("documents", documents))
        check_count("k", k)
        if not documents:
            return []
        scores = self.score(((query, document) for document in documents), fields=fields, progress=progress)
        order = np.argsort(-scores, kind="stable")[:k]
        return [Ranked(int(i), float(scores[i]), documents[int(i)]) for i in order]
