"""The best hits of each group, against the whole ranking cut by hand."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import OptionError
from embedkit.ingestion import Chunking, chunked, ingest
from embedkit.records.documents import Document, Hit
from embedkit.records.filters import F
from embedkit.retrieval.questions import groups
from embedkit.retrieval.searching import search
from embedkit.stores.contract import StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store

SHELVES = ["a", 1, 1.5, True, None, ["a", "b"], {"x": [1, {"y": 2}]}]
"""Values of every kind that metadata can hold: 120 rows have one, the other 20 have none."""


@pytest.fixture
def store(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    rows = [Document(f"{i:03}", f"tea number {i}", {"shelf": SHELVES[i % 7], "even": i % 2 == 0}) for i in range(120)]
    rows += [Document(f"{i:03}", f"tea number {i}") for i in range(120, 140)]
    ingest(rows, encoder, store, collection="docs")
    return store


def by_hand(hits: list[Hit], size: int) -> list[Hit]:
    kept: list[Hit] = []
    for hit in hits:
        shelf = [type(hit.metadata["shelf"]), hit.metadata["shelf"]] if "shelf" in hit.metadata else None
        before = [one for one in kept if "shelf" in one.metadata]
        same = [one for one in before if [type(one.metadata["shelf"]), one.metadata["shelf"]] == shelf]
        if shelf is None or len(same) < size:
            kept.append(hit)
    return kept


@pytest.mark.parametrize("size", [1, 3])
def test_the_best_of_each_group(store, encoder, size):
    whole = search("tea number 9", encoder, store, collection="docs", k=140)
    expected = by_hand(whole, size)
    assert len(expected) == 7 * size + 20
    options = {"collection": "docs", "group_by": "shelf", "group_size": size}
    assert search("tea number 9", encoder, store, k=140, **options) == expected
    for k in (1, 4, 9, 20):
        assert search("tea number 9", encoder, store, k=k, **options) == expected[:k]
        assert search("tea number 9", encoder, store, k=k, offset=3, **options) == expected[3 : 3 + k]
    queries = ["tea number 9", "tea number 77"]
    together = search(queries, encoder, store, k=5, **options)  # scores of a product of matrices have other last bits
    alone = [search(one, encoder, store, k=5, **options) for one in queries]
    assert [[hit.id for hit in hits] for hits in together] == [[hit.id for hit in hits] for hits in alone]


def test_beside_a_filter_a_threshold_and_diversity(store, encoder):
    whole = search("tea number 9", encoder, store, collection="docs", k=140, filter=F("even") == True)  # noqa: E712
    expected = by_hand(whole, 1)
    options = {"collection": "docs", "group_by": "shelf", "filter": F("even") == True}  # noqa: E712
    assert search("tea number 9", encoder, store, k=140, **options) == expected
    least = expected[3].score
    assert search("tea number 9", encoder, store, k=140, min_score=least, **options) == [
        hit for hit in expected if hit.score >= least
    ]
    unlike = search("tea number 9", encoder, store, k=7, diversity=0.5, **options)
    assert {hit.id for hit in unlike} == {hit.id for hit in expected}


def test_the_best_chunk_of_each_document(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    documents = [Document(f"book {i}", " ".join(f"page {n} of book {i}." for n in range(20))) for i in range(4)]
    ingest(chunked(documents, encoder, Chunking(8)), encoder, store, collection="docs")
    hits = search("page 3 of book 2", encoder, store, collection="docs", k=3, group_by="source")
    assert len({hit.metadata["source"] for hit in hits}) == 3
    whole = search("page 3 of book 2", encoder, store, collection="docs", k=1000)
    for hit in hits:
        assert hit == next(one for one in whole if one.metadata["source"] == hit.metadata["source"])


def test_more_rows_are_read_until_there_are_enough(monkeypatch):
    asked: list[int] = []

    def ranker(queries, k, filter):
        asked.append(k)
        rows = [Hit(str(i), -float(i), "", {"g": 0 if i < 50 else i}) for i in range(1000)]
        return [rows[:k] for _ in queries]

    found = groups.ranked_in_groups(ranker, ["?"], 3, None, wanted=3, field="g", size=1)
    assert [hit.id for hit in found[0][:3]] == ["0", "50", "51"]
    assert asked == [3, 12, 48, 192]
    asked.clear()
    monkeypatch.setattr(groups, "MOST_GROUPED", 40)
    assert [hit.id for hit in groups.ranked_in_groups(ranker, ["?"], 3, None, wanted=3, field="g", size=1)[0]] == ["0"]
    assert asked == [3, 12, 40]


@given(st.lists(st.sampled_from([0, 0.0, False, "0", None]), max_size=30), st.integers(1, 4))
def test_no_group_has_more_and_nothing_else_is_lost(values, size):
    hits = [Hit(str(i), 0.0, "", {"g": value}) for i, value in enumerate(values)]
    kept = groups.first_of_groups(hits, "g", size)
    for value in [0, 0.0, False, "0", None]:
        own = [hit for hit in hits if type(hit.metadata["g"]) is type(value) and hit.metadata["g"] == value]
        assert [hit for hit in kept if hit in own] == own[:size]


def test_options_that_do_not_fit(store, encoder):
    for wrong in ({"group_by": ""}, {"group_by": 3}, {"group_size": 2}, {"group_by": "shelf", "group_size": 0}):
        with pytest.raises(OptionError, match="group_"):
            search("tea", encoder, store, collection="docs", **wrong)
