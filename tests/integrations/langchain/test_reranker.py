"""A reranker as a document compressor."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document

from embedkit.integrations.langchain import EmbedkitReranker


class _ByLength:
    def rank(self, query, documents, k=None):
        order = sorted(range(len(documents)), key=lambda i: -len(documents[i]))[:k]
        return [SimpleNamespace(index=i, score=float(len(documents[i]))) for i in order]


def test_best_first_with_their_scores_and_the_given_ones_unchanged():
    documents = [Document("a", id="1", metadata={"n": 1}), Document("ccc", id="2"), Document("bb", id="3")]
    found = EmbedkitReranker(reranker=_ByLength(), top_n=2).compress_documents(documents, "query")
    assert [(one.id, one.metadata) for one in found] == [
        ("2", {"relevance_score": 3.0}),
        ("3", {"relevance_score": 2.0}),
    ]
    assert documents[1].metadata == {}
    assert len(EmbedkitReranker(reranker=_ByLength(), top_n=None).compress_documents(documents, "query")) == 3
    assert EmbedkitReranker(reranker=_ByLength()).compress_documents([], "query") == []
