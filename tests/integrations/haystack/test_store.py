"""Haystack's own suite of document stores, and what it does not ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("haystack")

from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.testing.document_store import (
    CountDocumentsByFilterTest,
    DocumentStoreBaseExtendedTests,
    create_filterable_docs,
)
from haystack.utils.filters import document_matches_filter

from embedkit import CollectionMismatchError, InputError, OptionError, ingest, open_store, search
from embedkit.integrations.haystack import EmbedkitDocumentStore
from embedkit.testing.tiny import tiny_bundle

pytestmark = pytest.mark.usefixtures("entry_points")


@pytest.fixture(params=["memory:haystack", "sqlite-vec:PATH/index.db"])
def place(request, tmp_path) -> str:
    if "sqlite" in request.param:
        pytest.importorskip("sqlite_vec")
    return request.param.replace("PATH", str(tmp_path))


@pytest.fixture
def document_store(place) -> Iterator[EmbedkitDocumentStore]:
    with open_store(place) as store:
        store.drop("documents")
        yield EmbedkitDocumentStore(store, dim=768)


class TestEmbedkitDocumentStore(DocumentStoreBaseExtendedTests, CountDocumentsByFilterTest):
    @pytest.fixture
    def document_store(self, place: str) -> Iterator[EmbedkitDocumentStore]:
        with open_store(place) as store:
            store.drop("documents")
            yield EmbedkitDocumentStore(store, dim=768)

    def test_write_documents(self, document_store: EmbedkitDocumentStore) -> None:
        """The suite asks each store to say here what it does without a policy."""
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """In any order, and embeddings as float32, which is what every vector database keeps."""
        received, expected = (sorted(some, key=lambda one: one.id) for some in (received, expected))
        assert [replace(one, embedding=None) for one in received] == [replace(one, embedding=None) for one in expected]
        for one, other in zip(received, expected, strict=True):
            assert (one.embedding is None) == (other.embedding is None)
            if one.embedding is not None:
                assert np.array_equal(one.embedding, np.array(other.embedding, np.float32))


def test_the_nearest(document_store):
    documents = create_filterable_docs()
    document_store.write_documents(documents)
    vectors = {one.id: np.array(one.embedding) for one in documents if one.embedding is not None}
    asked = next(iter(vectors.values()))
    expected = sorted((float(vector @ asked) for vector in vectors.values()), reverse=True)
    found = document_store.nearest(asked.tolist(), None, 99)
    assert [one.score for one in found] == pytest.approx(expected, rel=1e-4), "what has no embedding is not found"
    assert all(one.score == pytest.approx(float(vectors[one.id] @ asked), rel=1e-4) for one in found)
    near = document_store.nearest(asked.tolist(), None, 2)
    assert [one.score for one in near] == pytest.approx([one.score for one in found[:2]])


@pytest.mark.parametrize(
    "filters",
    [
        {"field": "meta.number", "operator": "<", "value": 0},
        {"field": "meta.date", "operator": ">", "value": "1970-01-01T00:00:00"},
        {"field": "meta.number", "operator": "!=", "value": 2},
        {"field": "content", "operator": "==", "value": "A Foo Document 1"},
        {"operator": "NOT", "conditions": [{"field": "meta.chapter", "operator": "in", "value": ["intro", "abstract"]}]},
        {"operator": "OR", "conditions": [{"field": "meta.page", "operator": "==", "value": "90"},
                                          {"field": "name", "operator": "==", "value": "zeros_doc"}]},
    ],
)  # fmt: skip
def test_the_nearest_that_satisfy_a_filter(document_store, filters):
    documents = create_filterable_docs()
    document_store.write_documents(documents)
    asked = np.array(documents[0].embedding)
    kept = {
        one.id: float(np.array(one.embedding) @ asked)
        for one in documents
        if one.embedding and document_matches_filter(filters, one)
    }
    found = document_store.nearest(asked.tolist(), filters, 99)
    assert {one.id for one in found} == set(kept)
    (first,) = document_store.nearest(asked.tolist(), filters, 1)
    assert kept[first.id] == pytest.approx(max(kept.values()), rel=1e-5)
    assert kept[found[0].id] == pytest.approx(max(kept.values()), rel=1e-5)
    assert {one.id for one in document_store.filter_documents(filters)} == {
        one.id for one in documents if document_matches_filter(filters, one)
    }


def test_all_that_a_document_has_comes_back(document_store):
    whole = [
        Document(content=None, blob=ByteStream(b"\0\xff", mime_type="image/png"), meta={"a": {"b": [1, None]}}),
        Document(content="", sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25]), embedding=[0.5] * 768),
    ]
    before = [one.to_dict() for one in whole]
    document_store.write_documents(whole)
    assert [one.to_dict() for one in whole] == before
    assert sorted(document_store.filter_documents(), key=lambda one: one.id) == sorted(whole, key=lambda one: one.id)


def test_it_is_the_collection_of_ingest_and_search(bundle, encoder, tmp_path, place):
    rows = [{"id": str(i), "text": f"text {i}", "number": i} for i in range(20)]
    with open_store(place) as store:
        store.drop("mine")
        ingest(rows, encoder, store, collection="mine")
        documents = EmbedkitDocumentStore(store, "mine", bundle=str(bundle))
        found = documents.nearest(
            encoder.encode_query("text 7").tolist(), {"field": "meta.number", "operator": ">", "value": 3}, 3
        )
        assert found[0].content == "text 7"
        documents.write_documents(
            [Document(id="new", content="text 99", embedding=encoder.encode_document("text 99").tolist())]
        )
        assert search("text 99", encoder, store, collection="mine")[0].id == "new"
        other = EmbedkitDocumentStore(store, "mine", bundle=str(tiny_bundle(tmp_path / "other", seed=1)))
        with pytest.raises(CollectionMismatchError, match="another model"):
            other.write_documents([Document(content="a")])


def test_sizes(place):
    with open_store(place) as store:
        store.drop("few")
        documents = EmbedkitDocumentStore(store, "few")
        assert documents.count_documents() == 0
        assert documents.filter_documents() == documents.nearest([1.0], None, 3) == []
        with pytest.raises(OptionError, match="dim: no document has an embedding"):
            documents.write_documents([Document(content="a")])
        documents.write_documents([Document(content="a"), Document(content="b", embedding=[1.0, 0.0])])
        with pytest.raises(InputError, match="an embedding of 2 numbers, found 3"):
            documents.write_documents([Document(content="c", embedding=[1.0, 0.0, 0.0])])
        assert [one.content for one in documents.nearest([1.0, 0.0], None, 9)] == ["b"]


def test_twice_among_the_given(document_store):
    twice = [Document(id="1", content="a"), Document(id="1", content="b")]
    with pytest.raises(Exception, match="there already, or twice"):
        document_store.write_documents(twice)
    assert document_store.count_documents() == 0
    assert document_store.write_documents(twice, DuplicatePolicy.SKIP) == 1
    assert document_store.filter_documents()[0].content == "a"
    document_store.write_documents(twice, DuplicatePolicy.OVERWRITE)
    assert document_store.filter_documents()[0].content == "b"


def test_written_down(tmp_path, bundle):
    pytest.importorskip("sqlite_vec")
    one = EmbedkitDocumentStore(f"sqlite-vec:{tmp_path}/index.db", "mine", bundle=str(bundle))
    again = EmbedkitDocumentStore.from_dict(one.to_dict())
    one.write_documents([Document(content="a")])
    assert again.count_documents() == 1
    one.close()
    again.close()
    with open_store("memory:x") as store, pytest.raises(OptionError, match="give its URL"):
        EmbedkitDocumentStore(store).to_dict()
