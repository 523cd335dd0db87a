"""A cross-encoder as LlamaIndex's postprocessor of nodes."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from embedkit.errors import InputError


class EmbedkitRerank(BaseNodePostprocessor):
    """Orders nodes by a reranker, an `embedkit.Reranker` or `embedkit.RemoteReranker`, which reads what an embedding would; the
    ``top_n`` best are kept (None: all), each with its new score."""

    top_n: int | None = 5
    _reranker: Any = PrivateAttr()

    def __init__(self, reranker: Any, *, top_n: int | None = 5) -> None:
        super().__init__(top_n=top_n)
        self._reranker = reranker

    @classmethod
    def class_name(cls) -> str:
        """The name under which it is written down."""
        return "EmbedkitRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("query_bundle: a reranker needs the question; give query_str")
        texts = [one.node.get_content(metadata_mode=MetadataMode.EMBED) for one in nodes]
        ranked = self._reranker.rank(query_bundle.query_str, texts, self.top_n)
        return [NodeWithScore(node=nodes[one.index].node, score=one.score) for one in ranked]
