"""Vectors as LlamaIndex asks for them."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.schema import TextNode

from embedkit import Encoder, InputError
from embedkit.integrations.llama_index import EmbedkitEmbedding, EmbedkitSparseEmbedding
from embedkit.testing.tiny import tiny_bundle


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Encoder:
    folder = tmp_path_factory.mktemp("llama") / "b"
    place = tiny_bundle(folder, prefixes={"query": "q: ", "document": "d: "}, kinds=["dense", "sparse"])
    return Encoder.load(place, variant="fp32", threads=1, on_truncate="ignore")


def test_dense(encoder):
    model = EmbedkitEmbedding(encoder)
    texts = [f"text {i}" for i in range(30)]
    assert model.get_query_embedding("tea") == encoder.encode_query("tea").tolist()
    assert model.get_text_embedding("tea") == encoder.encode_document("tea").tolist()
    assert model.get_text_embedding_batch(texts) == encoder.encode_document(texts).tolist()
    assert asyncio.run(model.aget_query_embedding("tea")) == model.get_query_embedding("tea")
    assert asyncio.run(model.aget_text_embedding_batch(texts)) == model.get_text_embedding_batch(texts)
    assert len(EmbedkitEmbedding(encoder, dim=4).get_query_embedding("tea")) == 4
    (node,) = model([TextNode(text="tea")])
    assert node.embedding == encoder.encode_document("tea").tolist()
    about = model.to_dict()
    assert (about["class_name"], about["fingerprint"]) == ("EmbedkitEmbedding", encoder.fingerprint)


def test_sparse(encoder, bundle):
    model = EmbedkitSparseEmbedding(encoder)
    ((indices, values),) = encoder.encode_query(["tea"], output="sparse")
    assert model.get_query_embedding("tea") == dict(zip(indices.tolist(), values.tolist(), strict=True))
    assert len(model.get_text_embedding_batch(["a", "b"])) == 2
    with pytest.raises(InputError, match="no sparse vectors"):
        EmbedkitSparseEmbedding(bundle)
