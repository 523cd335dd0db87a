"""LangChain's own suite of retrievers, and what it does not ask."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests import RetrieversIntegrationTests

from embedkit import Encoder, F, InputError, LexicalIndex, open_store, search
from embedkit.integrations.langchain import EmbedkitEmbeddings, EmbedkitRetriever, EmbedkitVectorStore

pytestmark = pytest.mark.usefixtures("entry_points")


@pytest.fixture
def store(encoder: Encoder):
    with open_store("memory:langchain retriever") as opened:
        opened.drop("docs")
        made = EmbedkitVectorStore(EmbedkitEmbeddings(encoder), opened, "docs")
        made.add_texts([f"text {i}" for i in range(30)], [{"number": i} for i in range(30)])
        yield made


class TestEmbedkitRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _store(self, store) -> None:
        type(self).store = store

    @property
    def retriever_constructor(self) -> type[EmbedkitRetriever]:
        return EmbedkitRetriever

    @property
    def retriever_constructor_params(self) -> dict:
        return {"vectorstore": self.store}

    @property
    def retriever_query_example(self) -> str:
        return "text 7"


def test_it_is_search(store, encoder):
    pytest.importorskip("bm25s")
    index = LexicalIndex.build(store.shelf.store, collection="docs")
    options = {"hybrid": "rrf", "lexical": index}
    found = EmbedkitRetriever(vectorstore=store, k=5, options=options, filter="number >= 3").invoke("text 7")
    hits = search("text 7", encoder, store.shelf.store, collection="docs", k=5, filter=F("number") >= 3, **options)
    assert [(one.id, one.metadata["score"]) for one in found] == [(hit.id, hit.score) for hit in hits]


def test_an_empty_collection_has_nothing(encoder):
    with open_store("memory:langchain none") as opened:
        store = EmbedkitVectorStore(EmbedkitEmbeddings(encoder), opened, "docs")
        assert EmbedkitRetriever(vectorstore=store).invoke("a") == []


def test_other_embeddings_are_told():
    with open_store("memory:langchain other") as opened:
        store = EmbedkitVectorStore(DeterministicFakeEmbedding(size=3), opened, "docs")
        with pytest.raises(InputError, match="as_retriever"):
            EmbedkitRetriever(vectorstore=store).invoke("a")
