"""Embedders in a pipeline of Haystack, written down and made again."""

from __future__ import annotations

import pytest

pytest.importorskip("haystack")

from haystack import Document, Pipeline

from embedkit import BundleError, Encoder, InputError
from embedkit.integrations.haystack import (
    EmbedkitDocumentEmbedder,
    EmbedkitSparseDocumentEmbedder,
    EmbedkitSparseTextEmbedder,
    EmbedkitTextEmbedder,
)
from embedkit.testing.tiny import tiny_bundle


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("haystack") / "b"
    return str(tiny_bundle(folder, prefixes={"query": "q: ", "document": "d: "}, kinds=["dense", "sparse"]))


@pytest.fixture(scope="module")
def encoder(place) -> Encoder:
    return Encoder.load(place, variant="fp32", threads=1, on_truncate="ignore")


def test_dense(place, encoder):
    assert EmbedkitTextEmbedder(place, variant="fp32").run("tea") == {"embedding": encoder.encode_query("tea").tolist()}
    documents = [Document(content="tea", meta={"title": "T", "none": None}), Document(content=None)]
    found = EmbedkitDocumentEmbedder(place, variant="fp32", meta_fields_to_embed=["title", "none"], dim=4).run(
        documents
    )["documents"]
    assert [one.embedding for one in found] == encoder.encode_document(["T\ntea", ""], dim=4).tolist()
    assert [one.id for one in found] == [one.id for one in documents]
    assert documents[0].embedding is None


def test_sparse(place, encoder):
    expected = [(i.tolist(), v.tolist()) for i, v in encoder.encode_document(["tea"], output="sparse")]
    (found,) = EmbedkitSparseDocumentEmbedder(place, variant="fp32").run([Document(content="tea")])["documents"]
    assert (found.sparse_embedding.indices, found.sparse_embedding.values) == expected[0]
    asked = EmbedkitSparseTextEmbedder(place, variant="fp32").run("tea")["sparse_embedding"]
    ((indices, values),) = encoder.encode_query(["tea"], output="sparse")
    assert (asked.indices, asked.values) == (indices.tolist(), values.tolist())


@pytest.mark.parametrize(
    "kind", [EmbedkitTextEmbedder, EmbedkitDocumentEmbedder, EmbedkitSparseTextEmbedder, EmbedkitSparseDocumentEmbedder]
)
def test_a_pipeline_is_written_down_and_refuses_another_model(place, kind, tmp_path):
    one = kind(place, variant="fp32")
    one.warm_up()
    pipeline = Pipeline()
    pipeline.add_component("embedder", one)
    text = pipeline.dumps()
    given = [Document(content="tea")] if "Document" in kind.__name__ else "tea"
    trusted = ["embedkit.integrations.haystack.embedders"]
    again = Pipeline.loads(text, allowed_modules=trusted).get_component("embedder")
    assert again.run(given) == one.run(given)
    about = one.to_dict()
    about["init_parameters"]["bundle"] = str(tiny_bundle(tmp_path / "b", seed=1, kinds=["dense", "sparse"]))
    with pytest.raises(BundleError, match="written with another model"):
        kind.from_dict(about).warm_up()


def test_the_wrong_embedder(place, bundle):
    with pytest.raises(TypeError, match="document embedder"):
        EmbedkitTextEmbedder(place).run([Document(content="a")])
    with pytest.raises(TypeError, match="text embedder"):
        EmbedkitDocumentEmbedder(place).run("a")
    with pytest.raises(InputError, match="no sparse vectors"):
        EmbedkitSparseTextEmbedder(str(bundle)).run("a")
