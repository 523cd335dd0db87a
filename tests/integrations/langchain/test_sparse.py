"""Sparse vectors, as LangChain's Qdrant store takes them."""

from __future__ import annotations

import pickle

import pytest

pytest.importorskip("langchain_qdrant")

from langchain_qdrant.sparse_embeddings import SparseEmbeddings

from embedkit import Encoder, InputError
from embedkit.integrations.langchain import EmbedkitSparseEmbeddings
from embedkit.testing.tiny import tiny_bundle


def test_indices_and_values(tmp_path):
    encoder = Encoder.load(tiny_bundle(tmp_path / "b", kinds=["dense", "sparse"]), threads=1)
    found = EmbedkitSparseEmbeddings(encoder)
    assert isinstance(found, SparseEmbeddings)
    expected = encoder.encode(["tea", "coffee"], output="sparse")
    given = found.embed_documents(["tea", "coffee"])
    assert [(one.indices, one.values) for one in given] == [(i.tolist(), v.tolist()) for i, v in expected]
    assert found.embed_query("tea") == given[0]
    assert pickle.loads(pickle.dumps(found)).embed_query("tea") == given[0]


def test_a_bundle_without_sparse_vectors(encoder):
    with pytest.raises(InputError, match="no sparse vectors"):
        EmbedkitSparseEmbeddings(encoder)
