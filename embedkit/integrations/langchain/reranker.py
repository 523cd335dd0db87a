"""A cross-encoder as LangChain's document compressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedkit.integrations.loading import missing

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document
    from langchain_core.documents.compressor import BaseDocumentCompressor
    from pydantic import ConfigDict
except ImportError as error:
    raise missing("langchain-core", "langchain") from error


class EmbedkitReranker(BaseDocumentCompressor):
    """Orders documents by a reranker, an `embedkit.Reranker` or `embedkit.RemoteReranker`; the ``top_n`` best are kept (None: all).
    Each gets its score in the metadata, as ``relevance_score``."""

    reranker: Any
    top_n: int | None = 3

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The documents that are kept, best first; those given are not changed."""
        documents = list(documents)
        ranked = self.reranker.rank(query, [document.page_content for document in documents], self.top_n)
        return [
            documents[one.index].model_copy(
                update={"metadata": {**documents[one.index].metadata, "relevance_score": one.score}}
            )
            for one in ranked
        ]
