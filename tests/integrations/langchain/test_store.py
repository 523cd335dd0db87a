"""LangChain's own suite of vector stores, and what it does not ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from embedkit import CollectionMismatchError, Encoder, F, FilterError, OptionError, ingest, open_store, search
from embedkit.integrations.langchain import EmbedkitEmbeddings, EmbedkitVectorStore
from embedkit.testing.tiny import tiny_bundle

pytestmark = pytest.mark.usefixtures("entry_points")
TEXTS = [f"text {i}" for i in range(30)]


@pytest.fixture(params=["memory:langchain", "sqlite-vec:PATH/index.db"])
def place(request, tmp_path) -> str:
    if "sqlite" in request.param:
        pytest.importorskip("sqlite_vec")
    return request.param.replace("PATH", str(tmp_path))


class TestEmbedkitVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, place: str) -> Iterator[VectorStore]:
        with open_store(place) as store:
            store.drop("docs")
            yield EmbedkitVectorStore(self.get_embeddings(), store, "docs")


@pytest.fixture
def store(place, encoder) -> Iterator[EmbedkitVectorStore]:
    with open_store(place) as opened:
        opened.drop("docs")
        made = EmbedkitVectorStore(EmbedkitEmbeddings(encoder), opened, "docs")
        made.add_texts(TEXTS, [{"number": i} for i in range(30)], ids=[str(i) for i in range(30)])
        yield made


def test_it_is_the_collection_of_ingest_and_search(store, encoder):
    hits = search("text 7", encoder, store.shelf.store, collection="docs", k=5)
    found = store.similarity_search_with_score("text 7", k=5)
    assert [(document.id, score) for document, score in found] == [(hit.id, hit.score) for hit in hits]
    rows = [{"id": str(i), "text": text, "number": i} for i, text in enumerate(TEXTS)]
    assert ingest(rows, encoder, store.shelf.store, collection="docs").unchanged == 30


@pytest.mark.parametrize("filter", [F("number") >= 20, "number >= 20", {"number": list(range(20, 30))}])
def test_filters(store, filter):
    found = store.similarity_search("text 7", k=30, filter=filter)
    assert sorted(document.metadata["number"] for document in found) == list(range(20, 30))


def test_a_filter_that_is_none(store):
    for filter in ({"number": {"$gt": 5}}, 7, "number ~ 5"):
        with pytest.raises(FilterError):
            store.similarity_search("text 7", filter=filter)


def test_another_model_is_refused(store, tmp_path):
    other = EmbedkitEmbeddings(Encoder.load(tiny_bundle(tmp_path / "other", seed=1), threads=1))
    for embedding in (other, DeterministicFakeEmbedding(size=8)):
        with pytest.raises(CollectionMismatchError, match="another model"):
            EmbedkitVectorStore(embedding, store.shelf.store, "docs").similarity_search("text")
        with pytest.raises(CollectionMismatchError, match="another model"):
            EmbedkitVectorStore(embedding, store.shelf.store, "docs").add_texts(["text"])


def test_relevance_is_between_0_and_1(store):
    found = store.similarity_search_with_relevance_scores("text 7", k=30)
    assert found[0][1] == pytest.approx(1.0)
    assert all(0 <= score <= 1 for _, score in found)


def test_diversity(store):
    near = [document.id for document in store.similarity_search("text 7", k=3)]
    assert [document.id for document in store.max_marginal_relevance_search("text 7", k=3, lambda_mult=1.0)] == near
    spread = store.max_marginal_relevance_search("text 7", k=3, fetch_k=30, lambda_mult=0.0)
    assert spread[0].id == near[0]
    assert [document.id for document in spread] != near


def test_documents_are_not_changed_and_get_ids(store):
    document = Document("another", metadata={"nested": {"a": [1, 2]}})
    (given,) = store.add_documents([document])
    assert document.id is None
    assert store.get_by_ids([given])[0].page_content == "another"


def test_from_texts_and_delete_everything(place, encoder):
    with open_store(place) as opened:
        made = EmbedkitVectorStore.from_texts(["a", "b"], EmbedkitEmbeddings(encoder), store=opened, collection="few")
        assert len(made.similarity_search("a", k=9)) == 2
        made.delete()
        assert made.similarity_search("a") == []
    with pytest.raises(OptionError, match="store: expected a store"):
        EmbedkitVectorStore.from_texts(["a"], EmbedkitEmbeddings(encoder))
