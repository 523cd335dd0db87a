"""LanceDB's embedding function and reranker, for those who use LanceDB's own client. (``embedkit ingest`` needs none.)

LanceDB keeps the function's name with the table, so import this module before such a table is opened again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from embedkit.encoders.base import BaseEncoder
from embedkit.integrations.shared.loading import found_again, missing
from embedkit.system.extras import needed

try:
    from lancedb.embeddings import TextEmbeddingFunction, register
    from lancedb.rerankers import Reranker as LanceReranker
except ImportError as error:
    raise missing("lancedb", "lancedb") from error


@register("embedkit")
class EmbedkitEmbeddingFunction(TextEmbeddingFunction):
    """``EmbedkitEmbeddingFunction.create(bundle="bundle")``, or ``get_registry().get("embedkit").create(bundle=...)``: documents and
    questions each with the bundle's own template. ``bundle`` is a folder or a server's address; with ``fingerprint`` another model
    there is refused. LanceDB would try a bad text seven times: here it is once."""

    bundle: str
    variant: str = "auto"
    dim: int | None = None
    fingerprint: str | None = None
    max_retries: int = 0

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._encoder: BaseEncoder | None = None

    def encoder(self) -> BaseEncoder:
        """The bundle's encoder, loaded when it is first needed."""
        if self._encoder is None:
            options = {} if self.variant == "auto" else {"variant": self.variant}
            self._encoder = found_again({"bundle": self.bundle, "fingerprint": self.fingerprint, **options})
        return self._encoder

    def ndims(self) -> int:
        """Numbers in a vector."""
        return self.dim or self.encoder().dim

    def generate_embeddings(self, texts: Iterable[str], *args: Any, **kwargs: Any) -> list[Any]:
        """The vectors of documents."""
        return list(self.encoder().encode_document([str(text) for text in texts], dim=self.dim))

    def compute_query_embeddings(self, query: str, *args: Any, **kwargs: Any) -> list[Any]:
        """The vector of a question."""
        return [self.encoder().encode_query(query, dim=self.dim)]


class EmbedkitReranker(LanceReranker):
    """LanceDB's reranker by an `embedkit.Reranker` or `embedkit.RemoteReranker`, which reads the column ``column``."""

    def __init__(self, reranker: Any, *, column: str = "text", return_score: str = "relevance") -> None:
        super().__init__(return_score)
        self.reranker, self.column = reranker, column

    def rerank_hybrid(self, query: str, vector_results: Any, fts_results: Any) -> Any:
        """The rows of both, best first."""
        merged = self._reranked(query, self.merge_results(vector_results, fts_results))
        return self._keep_relevance_score(merged) if self.score == "relevance" else merged

    def rerank_vector(self, query: str, vector_results: Any) -> Any:
        """The nearest rows, best first."""
        found = self._reranked(query, vector_results)
        return found.drop_columns(["_distance"]) if self.score == "relevance" else found

    def rerank_fts(self, query: str, fts_results: Any) -> Any:
        """The rows that words found, best first."""
        found = self._reranked(query, fts_results)
        return found.drop_columns(["_score"]) if self.score == "relevance" else found

    def _reranked(self, query: str, rows: Any) -> Any:
        arrow = needed("pyarrow", "LanceDB's tables", extra="lancedb")
        texts = [text or "" for text in rows[self.column].to_pylist()]
        ranked = self.reranker.rank(query, texts)
        scores = arrow.array([one.score for one in ranked], type=arrow.float32())
        return rows.take([one.index for one in ranked]).append_column("_relevance_score", scores)
