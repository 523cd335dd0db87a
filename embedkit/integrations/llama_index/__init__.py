"""LlamaIndex: embeddings, sparse embeddings, a reranking postprocessor, and a vector store over any store of embedkit."""

from __future__ import annotations

from embedkit.integrations.loading import missing

try:
    from .embeddings import EmbedkitEmbedding, EmbedkitSparseEmbedding
    from .rerank import EmbedkitRerank
    from .store import EmbedkitVectorStore
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "llama_index":
        raise
    raise missing("llama-index-core", "llama-index") from error

__all__ = ["EmbedkitEmbedding", "EmbedkitRerank", "EmbedkitSparseEmbedding", "EmbedkitVectorStore"]
