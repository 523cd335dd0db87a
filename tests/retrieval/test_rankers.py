"""Hybrid search: the rankings of several rankers, fused."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

pytest.importorskip("bm25s")

from embedkit import F
from embedkit.errors import InputError, StaleIndexError
from embedkit.ingestion import ingest
from embedkit.records.documents import Document, Hit
from embedkit.retrieval.fusion import METHODS, fuse
from embedkit.retrieval.lexical import LexicalIndex
from embedkit.retrieval.mmr import diverse
from embedkit.retrieval.rankers import HybridRanker
from embedkit.retrieval.searching import search
from embedkit.stores.contract import StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store
from helpers.hits import SUBJECTS, VERBATIM, scores
from helpers.reranking import Overlap

# Fusion


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", [None, {"lexical": 0.25}, {"dense": 0.0, "lexical": 2.0}])
@pytest.mark.parametrize("filter", [None, F("n") >= 15])
def test_the_rankings_are_fused(store, encoder, index, method, weights, filter):
    question = "railway 7"
    found = {"collection": "docs", "filter": filter}
    dense = search(question, encoder, store, k=30, **found)
    hits = search(question, encoder, store, k=30, candidates=30, hybrid=method, lexical=index, weights=weights, **found)
    among = None if filter is None else {f"{i:02}" for i in range(15, 60)}
    (lexical,) = index.search([question], 30, among=among)
    assert len(lexical) == 22 if filter is None else 20 < len(lexical) < 23
    given = {"dense": 1.0, "lexical": 1.0, **(weights or {})}
    parts = {name: found for name, found in (("dense", scores(dense)), ("lexical", lexical)) if given[name]}
    expected = fuse(list(parts.values()), method, [given[name] for name in parts])
    assert [hit.id for hit in hits] == list(expected)[:30]
    assert [hit.score for hit in hits] == list(expected.values())[:30]
    for hit in hits:
        assert hit.parts == {name: found[hit.id] for name, found in parts.items() if hit.id in found}
        assert hit.text == f"{SUBJECTS[int(hit.id) // 20]} {int(hit.id) % 20}"
        assert hit.metadata == {"n": int(hit.id)}


def test_a_word_is_found_that_the_vectors_do_not_find(store, encoder, index):
    question, found = "tea timetable of a railway", {"collection": "docs", "k": 8, "candidates": 8}
    assert not any("railway" in hit.text for hit in search(question, encoder, store, **found))
    hits = search(question, encoder, store, **found, lexical=index, hybrid="minmax")
    assert any("railway" in hit.text for hit in hits)
    assert hits == search(question, encoder, store, **found, lexical=index)


def test_an_index_in_a_folder(store, encoder, index, tmp_path):
    index.save(tmp_path / "words")
    here = search(["tea 3", "coffee"], encoder, store, collection="docs", lexical=index)
    assert search(["tea 3", "coffee"], encoder, store, collection="docs", lexical=tmp_path / "words") == here
    assert search(["tea 3", "coffee"], encoder, store, collection="docs", lexical=str(tmp_path / "words")) == here
    assert search([], encoder, store, collection="docs", lexical=index) == []


def test_pages_and_threshold(store, encoder, index):
    found = {"collection": "docs", "lexical": index, "hybrid": "dbsf"}
    whole = search("tea 3", encoder, store, k=40, **found)
    assert len(whole) == 40
    pages = [search("tea 3", encoder, store, k=8, offset=start, **found) for start in range(0, 40, 8)]
    assert [hit for page in pages for hit in page] == whole
    least = whole[10].score
    assert search("tea 3", encoder, store, k=40, min_score=least, **found) == [h for h in whole if h.score >= least]


def test_diversity_scales_fused_scores(store, encoder, index):
    found = {"collection": "docs", "lexical": index, "hybrid": "rrf"}
    pool = search("tea 3", encoder, store, k=60, candidates=60, **found)
    vectors = np.stack([row.vector for row in store.open("docs").get([h.id for h in pool], with_vectors=True)])
    values = np.array([hit.score for hit in pool])
    relevance = (values - values.min()) / (values.max() - values.min())
    order = diverse(relevance, vectors @ vectors.T, 0.5, 10)
    spread = search("tea 3", encoder, store, k=10, diversity=0.5, candidates=60, **found)
    assert spread == [pool[i] for i in order] != pool[:10]


def test_rescored_vectors_are_fused(store, encoder, index):
    found = {"collection": "docs", "lexical": index, "k": 5}
    plain = search("tea 3", encoder, store, **found)
    again = search("tea 3", encoder, store, rescore=True, **found)
    assert [hit.id for hit in again] == [hit.id for hit in plain]
    assert [hit.parts["dense"] for hit in again] == pytest.approx([hit.parts["dense"] for hit in plain], abs=1e-6)


def test_an_index_that_is_older_than_the_collection_is_refused(store, encoder, index):
    ingest([Document("60", "tea")], encoder, store, collection="docs")
    with pytest.raises(StaleIndexError, match="has 61 rows, the index 60"):
        search("tea", encoder, store, collection="docs", lexical=index)
    store.open("docs").delete(ids=["60"])
    # The row has no word of the question now, and is found by its vector alone.
    ingest([Document("03", "ten 3", {"n": 3})], encoder, store, collection="docs")
    with pytest.raises(StaleIndexError, match="the row '03' has another text"):
        search("te", encoder, store, collection="docs", lexical=index)


def test_rankers_may_be_any(store):
    """A third ranker is a function."""

    def fixed(*ids):
        return lambda questions, k, filter: (
            [[Hit(i, 1.0 / n, i, {}) for n, i in enumerate(ids, 1)][:k]] * len(questions)
        )

    ranker = HybridRanker({"x": fixed("a", "b"), "y": fixed("b"), "z": fixed("c", "b", "a")}, "rrf")
    answers = ranker(["one", "two"], 3, None)
    assert [hit.id for hit in answers[0]] == ["b", "a", "c"]
    assert answers[0][0].parts == {"x": 0.5, "y": 1.0, "z": 0.5}
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hybrid": "mean"}, "hybrid: expected one of rrf, minmax, dbsf, found 'mean'"),
        ({"weights": {"sparse": 1.0}}, "weights: expected the names dense, lexical, found 'sparse'"),
        ({"weights": {"dense": -1.0}}, "weights: expected numbers of at least 0"),
        ({"weights": {"dense": 0.0, "lexical": 0.0}}, "not all of them 0"),
        (
            {"lexical": None, "hybrid": "rrf"},
            "keeps dense vectors alone, and one ranking cannot be fused; give lexical",
        ),
        ({"lexical": None, "weights": {"dense": 1.0}}, "hybrid: expected a method"),
        ({"lexical": "nowhere"}, "there is no lexical index"),
        ({"rerank_top": 20}, "rerank: expected a reranker beside rerank_top"),
        ({"rerank": Overlap(), "rerank_top": 9}, "rerank_top: expected at least k . offset = 10, found 9"),
        ({"rerank": Overlap(), "rerank_top": True}, "rerank_top: expected an integer"),
        ({"rerank": Overlap(), "rerank_top": 30, "candidates": 20}, "candidates: expected at least rerank_top = 30"),
        ({"rerank": Overlap(), "k": "3"}, "k: expected an integer"),
    ],
)
def test_what_is_no_search(store, encoder, index, wrong, said):
    with pytest.raises(InputError, match=said):
        search("tea", encoder, store, collection="docs", **{"lexical": index, **wrong})


# Texts reach the caller


@pytest.mark.parametrize("rerank", [None, Overlap()])
@pytest.mark.parametrize("hybrid", [None, "rrf"])
def test_the_texts_reach_the_caller_as_they_were_written_and_in_order(encoder, tmp_path, monkeypatch, hybrid, rerank):
    """For generation from what was retrieved: each character, best first, with several questions."""
    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    ingest([Document(str(i), text) for i, text in enumerate(VERBATIM)], encoder, store, collection="docs")
    lexical = LexicalIndex.build(store, collection="docs") if hybrid else None
    answers = search(
        ["tea", "日"], encoder, store, collection="docs", k=5, hybrid=hybrid, lexical=lexical, rerank=rerank
    )
    for hits in answers:
        assert sorted(hit.text for hit in hits) == sorted(VERBATIM)
        assert [hit.text for hit in hits] == [VERBATIM[int(hit.id)] for hit in hits]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
