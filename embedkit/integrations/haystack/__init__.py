"""Haystack 3: embedders of texts and documents, dense and sparse, a ranker, a document store over any store of embedkit, and its
retriever."""

from __future__ import annotations

from embedkit.integrations.loading import missing

try:
    from .embedders import (
        EmbedkitDocumentEmbedder,
        EmbedkitSparseDocumentEmbedder,
        EmbedkitSparseTextEmbedder,
        EmbedkitTextEmbedder,
    )
    from .ranker import EmbedkitRanker
    from .retriever import EmbedkitEmbeddingRetriever
    from .store import EmbedkitDocumentStore
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "haystack":
        raise
    raise missing("haystack-ai", "haystack") from error

__all__ = [
    "EmbedkitDocumentEmbedder",
    "EmbedkitDocumentStore",
    "EmbedkitEmbeddingRetriever",
    "EmbedkitRanker",
    "EmbedkitSparseDocumentEmbedder",
    "EmbedkitSparseTextEmbedder",
    "EmbedkitTextEmbedder",
]
