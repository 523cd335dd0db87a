"""Any store of embedkit as LangChain's vector store."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from embedkit.errors import InputError, OptionError
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.integrations.shared.filters import filter_of
from embedkit.integrations.shared.loading import missing
from embedkit.integrations.shared.shelf import Shelf
from embedkit.records.coercion import MetadataMode
from embedkit.records.documents import Hit
from embedkit.retrieval.mmr import diverse
from embedkit.stores.contract import CollectionSpec, Metric
from embedkit.stores.fingerprint import remote_space
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.similarity import similarity

from .embeddings import EmbedkitEmbeddings

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise missing("langchain-core", "langchain") from error

_PROBES = ["A cat sits on the mat.", "42"]


class EmbedkitVectorStore(VectorStore):
    """A collection of a store (`embedkit.open_store`, or its URL), which is made by the first document.

    With `EmbedkitEmbeddings` it is the collection of ``embedkit ingest`` and ``embedkit search``: of the bundle's vectors of all
    kinds, refused to another model. Other embeddings give dense vectors, and are known again by what they make of two texts.
    Filters are `embedkit.F`, the text of one (``"year >= 2020"``), or a mapping of fields to values. A score is nearer the higher
    it is.
    """

    def __init__(
        self,
        embedding: Embeddings,
        store: GuardedStore | str,
        collection: str,
        *,
        metric: Metric | None = None,
        metadata_policy: MetadataMode = "coerce",
    ) -> None:
        if not isinstance(embedding, Embeddings):
            raise InputError(f"embedding: expected LangChain's Embeddings, found {type(embedding).__name__}")
        self.embedding, self.shelf = embedding, Shelf(store, collection, metadata_policy=metadata_policy)
        self._metric: Metric | None = metric

    @property
    def embeddings(self) -> Embeddings:
        """What the vectors are made by."""
        return self.embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Write texts, and give their ids, new ones where there are none; of an id that is there the row is replaced."""
        texts = list(texts)
        metadata = [{} for _ in texts] if metadatas is None else list(metadatas)
        named = [given or str(uuid.uuid4()) for given in ([None] * len(texts) if ids is None else ids)]
        if not len(texts) == len(metadata) == len(named):
            raise InputError(
                f"expected as many metadatas and ids as texts ({len(texts)}), found {len(metadata)} and {len(named)}"
            )
        if texts:
            rows, columns = self._encoded(texts)
            self.shelf.write(rows, named, texts, metadata, columns)
        return named

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents that are there."""
        return [Document(id=row.id, page_content=row.text, metadata=row.metadata) for row in self.shelf.get(list(ids))]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Delete documents; without ``ids`` all of them."""
        if ids is None:
            self.shelf.drop()
        else:
            self.shelf.delete(ids)
        return True

    def similarity_search(self, query: str, k: int = 4, filter: Any = None, **kwargs: Any) -> list[Document]:
        """The nearest documents."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Any = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The nearest documents, each with its score."""
        return self.similarity_search_with_score_by_vector(self._asked(query), k, filter)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any = None, **kwargs: Any
    ) -> list[Document]:
        """The documents nearest to a vector."""
        return [document for document, _ in self.similarity_search_with_score_by_vector(embedding, k, filter)]

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any = None
    ) -> list[tuple[Document, float]]:
        """The documents nearest to a vector, each with its score."""
        return [(document_of(hit), hit.score) for hit in self._nearest(embedding, k, filter)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, filter: Any = None, **kwargs: Any
    ) -> list[Document]:
        """Of the ``fetch_k`` nearest documents ``k`` that are also unlike each other."""
        return self.max_marginal_relevance_search_by_vector(self._asked(query), k, fetch_k, lambda_mult, filter)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Any = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The same for a vector."""
        hits = self._nearest(embedding, max(k, fetch_k), filter)
        vectors = {row.id: row.vector for row in self.shelf.get([hit.id for hit in hits], with_vectors=True)}
        hits = [hit for hit in hits if vectors.get(hit.id) is not None]
        if not hits:
            return []
        assert self.shelf.rows is not None
        stacked = np.stack([vectors[hit.id] for hit in hits])  # type: ignore[arg-type, misc]
        near = similarity(stacked, stacked, fn=self.shelf.rows.info.metric)
        chosen = diverse(np.array([hit.score for hit in hits]), near, 1.0 - lambda_mult, k)
        return [document_of(hits[i]) for i in chosen]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        store: GuardedStore | str | None = None,
        collection: str = "langchain",
        **kwargs: Any,
    ) -> EmbedkitVectorStore:
        """A store with these texts; ``store`` is needed."""
        if store is None:
            raise OptionError("store: expected a store or its URL, such as 'sqlite-vec:index.db', found None")
        made = cls(embedding, store, collection, **kwargs)
        made.add_texts(texts, metadatas, ids=ids)
        return made

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """From a score to 0..1: the cosine's half way, and of distances 1 / (1 + distance)."""
        metric = self._metric_of()
        if metric == "euclidean":
            return lambda score: 1.0 / (1.0 + max(0.0, -score))
        if metric == "dot" and not (
            isinstance(self.embedding, EmbedkitEmbeddings) and self.embedding.encoder.allows("cosine")
        ):
            raise OptionError(
                "relevance: products of vectors of any length are between no limits; make the collection by cosine"
            )
        return lambda score: min(1.0, max(0.0, (score + 1.0) / 2.0))

    def _metric_of(self) -> Metric:
        if self.shelf.rows is not None:
            return self.shelf.rows.info.metric
        own: Metric = self.embedding.encoder.metric if isinstance(self.embedding, EmbedkitEmbeddings) else "cosine"
        return self._metric or own

    def _encoded(self, texts: list[str]) -> tuple[GuardedCollection, dict[str, Any]]:
        """The collection, and the columns of the texts' vectors."""
        if not isinstance(self.embedding, EmbedkitEmbeddings) or self.embedding.dim is not None:
            vectors = np.asarray(self.embedding.embed_documents(texts), dtype=np.float32)
            if vectors.ndim != 2 or len(vectors) != len(texts):
                raise InputError(
                    f"embedding: expected {len(texts)} vectors of one size, found an array of the shape {vectors.shape}"
                )
            spec = CollectionSpec(self.shelf.collection, vectors.shape[1], self._metric_of(), self._fingerprint())
            return self.shelf.made(spec), {"vectors": vectors}
        encoder, rows = self.embedding.encoder, self.shelf.rows
        columns = Columns.of(encoder, "document", None, None if rows is None else rows.info)
        made = self.shelf.made(columns.spec(self.shelf.collection, self._metric_of()))
        values = encoder.encode_outputs(texts, role="document", outputs=list(columns.names.values()), dim=columns.dim)
        return made, columns.columns(values)

    def _fingerprint(self) -> str:
        """Of embeddings that are not a bundle's."""
        if isinstance(self.embedding, EmbedkitEmbeddings):
            return f"{self.embedding.encoder.fingerprint}"
        kind = type(self.embedding)
        identity = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode()).hexdigest()
        return remote_space(identity, np.asarray(self.embedding.embed_documents(_PROBES), dtype=np.float32))

    def _asked(self, query: str) -> list[float]:
        return [] if self.shelf.rows is None else self.embedding.embed_query(query)

    def _nearest(self, embedding: list[float], k: int, filter: Any) -> list[Hit]:
        condition = filter_of(filter)
        rows = self.shelf.rows
        if rows is None or k < 1:
            return []
        rows.require_fingerprint(self._fingerprint())
        asked: FloatArray = np.asarray([embedding], dtype=np.float32)
        return rows.query(asked, k, filter=condition)[0]


def document_of(hit: Hit) -> Document:
    """The document that a hit is."""
    return Document(id=hit.id, page_content=hit.text, metadata=hit.metadata)
