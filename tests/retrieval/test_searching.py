from __future__ import annotations

import uuid

import numpy as np
import pytest

pytest.importorskip("qdrant_client")

from embedkit.encoders.encoder import Encoder
from embedkit.errors import CollectionMismatchError, CollectionNotFoundError, InputError, StoreURLError
from embedkit.ingestion import ingest
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Document
from embedkit.records.filters import F
from embedkit.retrieval.searching import search
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store as open_memory
from embedkit.stores.opening import open_store
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
    with pytest.raises(InputError, match="k: expected an integer of at least 1, found 0"):
        search("tea", encoder, filled, collection="docs", k=0)


# Paging, threshold, rescoring, diversity


@pytest.fixture
def many(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_memory(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    texts = [f"{subject} {number}" for subject in ("tea", "coffee", "a railway") for number in range(20)]
    ingest([Document(f"{i:02}", text) for i, text in enumerate(texts)], encoder, store, collection="docs")
    return store


def test_pages_are_parts_of_one_ranking(many, encoder):
    whole = search("tea 3", encoder, many, collection="docs", k=60)
    assert len(whole) == 60
    pages = [search("tea 3", encoder, many, collection="docs", k=7, offset=start) for start in range(0, 63, 7)]
    assert [hit for page in pages for hit in page] == whole
    assert search("tea 3", encoder, many, collection="docs", offset=60) == []
    diverse_pages = [
        search("tea 3", encoder, many, collection="docs", k=5, offset=start, diversity=0.4) for start in (0, 5, 10)
    ]
    together = search("tea 3", encoder, many, collection="docs", k=15, diversity=0.4)
    assert [hit for page in diverse_pages for hit in page] == together


def test_hits_below_the_threshold_are_left_out(many, encoder):
    whole = search("tea 3", encoder, many, collection="docs", k=60)
    least = whole[10].score
    assert search("tea 3", encoder, many, collection="docs", k=60, min_score=least) == [
        hit for hit in whole if hit.score >= least
    ]
    assert search("tea 3", encoder, many, collection="docs", min_score=1.1) == []


def test_rescoring_ranks_by_full_vectors(encoder, tmp_path, monkeypatch):
    """A store that rounds the vectors that it ranks by, as an int8 or binary index does."""
    store = open_memory(StoreURL.parse(f"memory:{uuid.uuid4()}"))
    exact = store.ensure(CollectionSpec("docs", encoder.dim, "cosine", encoder.fingerprint))
    rng = np.random.default_rng(0)
    near = encoder.encode_query(["tea"])[0]
    vectors = near + rng.normal(0, 0.05, (200, encoder.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{i:03}" for i in range(200)]
    exact.upsert(RecordBatch(ids, vectors, ids, [{}] * 200, ids))

    def rounded(asked, k, *, filter=None):
        scores = np.sign(vectors) @ np.sign(asked[0])
        order = np.argsort(-scores, kind="stable")[:k]
        (everything,) = type(exact).query(exact, asked, 200)
        by_id = {hit.id: hit for hit in everything}
        return [[by_id[ids[i]].__class__(ids[i], float(scores[i]), ids[i], {}) for i in order]]

    monkeypatch.setattr(exact, "query", rounded)
    monkeypatch.setattr(store, "open", lambda name: exact)
    guarded = GuardedStore(store)
    true = vectors @ near
    plain = search("tea", encoder, guarded, collection="docs", k=5)
    again = search("tea", encoder, guarded, collection="docs", k=5, rescore=True, candidates=200)
    assert [hit.id for hit in again] == [ids[i] for i in np.argsort(-true)[:5]] != [hit.id for hit in plain]
    assert [hit.score for hit in again] == pytest.approx(np.sort(true)[::-1][:5].tolist(), abs=1e-6)
    twenty = search("tea", encoder, guarded, collection="docs", k=5, rescore=True)
    among = np.argsort(-(np.sign(vectors) @ np.sign(near)), kind="stable")[:20]
    assert [hit.id for hit in twenty] == [ids[i] for i in among[np.argsort(-true[among])][:5]]


def test_diversity_spreads_the_hits(many, encoder):
    plain = search("tea 3", encoder, many, collection="docs", k=6)
    spread = search("tea 3", encoder, many, collection="docs", k=6, diversity=0.9)
    assert spread[0] == plain[0]
    assert {hit.id for hit in spread} != {hit.id for hit in plain}
    assert {hit.id: hit.score for hit in search("tea 3", encoder, many, collection="docs", k=60)}.items() >= {
        hit.id: hit.score for hit in spread
    }.items()


@pytest.mark.parametrize(
    "wrong",
    [{"k": True}, {"offset": -1}, {"diversity": 1.5}, {"diversity": -0.1}, {"candidates": 3}, {"candidates": 0}],
)
def test_what_is_no_search(many, encoder, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        search("tea", encoder, many, collection="docs", **wrong)


def test_the_query_was_called_question(encoder):
    with (
        pytest.warns(DeprecationWarning, match="search: question= is called query= now"),
        pytest.raises(InputError, match="query 0: expected some text, found ' '"),
    ):
        search(question=" ", encoder=encoder, store="memory:", collection="docs")


def test_a_query_that_is_no_sequence_of_queries(filled, encoder):
    pandas = pytest.importorskip("pandas")
    for given in (pandas.DataFrame({"text": ["a"]}), {"a"}, 7):
        with pytest.raises(InputError, match="query: expected a string or an iterable of strings, found"):
            search(given, encoder, filled, collection="docs")
