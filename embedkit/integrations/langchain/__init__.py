"""LangChain: embeddings, sparse embeddings, a reranker, a vector store over any store of embedkit, and a retriever.

::

    from embedkit.integrations.langchain import EmbedkitEmbeddings, EmbedkitVectorStore

    store = EmbedkitVectorStore(EmbedkitEmbeddings("bundle"), "sqlite-vec:notes.db", "notes")
    store.add_texts(["tea from the mountains"])
    store.as_retriever().invoke("tea")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_HOME = {
    "EmbedkitEmbeddings": "embeddings",
    "EmbedkitReranker": "reranker",
    "EmbedkitRetriever": "retriever",
    "EmbedkitSparseEmbeddings": "sparse",
    "EmbedkitVectorStore": "store",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


if TYPE_CHECKING:
    from .embeddings import EmbedkitEmbeddings as EmbedkitEmbeddings
    from .reranker import EmbedkitReranker as EmbedkitReranker
    from .retriever import EmbedkitRetriever as EmbedkitRetriever
    from .sparse import EmbedkitSparseEmbeddings as EmbedkitSparseEmbeddings
    from .store import EmbedkitVectorStore as EmbedkitVectorStore
