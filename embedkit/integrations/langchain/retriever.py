"""`embedkit.search` as LangChain's retriever: several kinds of vectors, words, a reranker, diversity."""

from __future__ import annotations

from typing import Any

from embedkit.errors import InputError
from embedkit.integrations.filters import filter_of
from embedkit.integrations.loading import missing
from embedkit.retrieval.searching import search

from .embeddings import EmbedkitEmbeddings
from .store import EmbedkitVectorStore, document_of

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import ConfigDict, Field
except ImportError as error:
    raise missing("langchain-core", "langchain") from error


class EmbedkitRetriever(BaseRetriever):
    """Retrieves by `embedkit.search`. ``vectorstore`` has `EmbedkitEmbeddings`; ``options`` are others of `embedkit.search`, such as
    ``hybrid``, ``lexical``, ``rerank`` and ``diversity``. Each document has its score in the metadata, as ``score``."""

    vectorstore: EmbedkitVectorStore
    k: int = 4
    filter: Any = None
    options: dict[str, Any] = Field(default_factory=dict)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **given: Any
    ) -> list[Document]:
        embedding, shelf = self.vectorstore.embedding, self.vectorstore.shelf
        if not isinstance(embedding, EmbedkitEmbeddings):
            raise InputError(
                f"vectorstore: expected one with EmbedkitEmbeddings, found {type(embedding).__name__}; use vectorstore.as_retriever()"
            )
        if shelf.rows is None:
            return []
        options = {**self.options, **given}
        k, condition = options.pop("k", self.k), filter_of(options.pop("filter", self.filter))
        hits = search(
            query, embedding.encoder, shelf.store, collection=shelf.collection, k=k, filter=condition, **options
        )
        found = []
        for hit in hits:
            document = document_of(hit)
            document.metadata = {**document.metadata, "score": hit.score}
            found.append(document)
        return found
