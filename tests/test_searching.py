from __future__ import annotations

import pytest

pytest.importorskip("qdrant_client")

from embedkit.encoder import Encoder
from embedkit.errors import CollectionMismatchError, CollectionNotFoundError, InputError, StoreURLError
from embedkit.filters import F
from embedkit.ingestion import ingest
from embedkit.records import Document
from embedkit.registry import open_store
from embedkit.searching import search
from embedkit.testing.tiny import tiny_bundle

TEXTS = ["tea from the mountains", "coffee from the coast", "a railway timetable", "how to repair a bicycle"]


@pytest.fixture
def store(entry_points):
    with open_store("qdrant://:memory:") as store:
        yield store


@pytest.fixture
def filled(store, encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ingest([Document(str(i), text, {"n": i}) for i, text in enumerate(TEXTS)], encoder, store, collection="docs")
    return store


def test_the_nearest_document_comes_first(filled, encoder):
    hits = search(TEXTS[2], encoder, filled, collection="docs", k=3)
    assert (hits[0].id, hits[0].text, hits[0].metadata) == ("2", TEXTS[2], {"n": 2})
    assert hits[0].score == pytest.approx(1, abs=1e-6)
    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    expected = encoder.similarity(encoder.encode_query(TEXTS[2]), encoder.encode_document(TEXTS))[0]
    assert {hit.id: hit.score for hit in hits} == pytest.approx(
        {hit.id: expected[int(hit.id)] for hit in hits}, abs=1e-6
    )


def test_several_questions_have_several_answers(filled, encoder):
    answers = search(TEXTS, encoder, filled, collection="docs", k=1)
    assert [hits[0].id for hits in answers] == ["0", "1", "2", "3"]
    assert search([], encoder, filled, collection="docs") == []


def test_a_filter_restricts_the_hits(filled, encoder):
    hits = search(TEXTS[0], encoder, filled, collection="docs", filter=F("n") >= 2)
    assert {hit.id for hit in hits} == {"2", "3"}


def test_the_template_is_that_of_queries(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder = Encoder.load(tiny_bundle(tmp_path / "b", prefixes={"query": "tea from "}), variant="fp32")
    ingest([Document(str(i), text) for i, text in enumerate(TEXTS)], encoder, store, collection="docs")
    assert search("the mountains", encoder, store, collection="docs", k=1)[0].score == pytest.approx(1, abs=1e-6)


def test_another_models_question_is_refused_before_it_is_encoded(filled, tmp_path, monkeypatch):
    other = Encoder.load(tiny_bundle(tmp_path / "other", seed=1))
    with pytest.raises(CollectionMismatchError, match="another model's vectors"):
        search("tea", other, filled, collection="docs")
    assert other.stats.texts == 0


@pytest.mark.parametrize("question", ["", "  \n", ["tea", ""]])
def test_an_empty_question_is_refused(filled, encoder, question):
    with pytest.raises(InputError, match="expected some text"):
        search(question, encoder, filled, collection="docs")


def test_a_collection_or_store_that_is_not_there(filled, encoder):
    with pytest.raises(CollectionNotFoundError):
        search("tea", encoder, filled, collection="books")
    with pytest.raises(StoreURLError, match="unknown store scheme 'nowhere'"):
        search("tea", encoder, "nowhere:index", collection="docs")
    with pytest.raises(InputError, match="k: expected a positive integer"):
        search("tea", encoder, filled, collection="docs", k=0)
