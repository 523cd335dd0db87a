"""Near-duplicates left out as they come, against a loop over all pairs; over the databases too."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import Chunking, Document, Encoder, IngestError, OptionError, chunked
from embedkit.errors import StoreError
from embedkit.ingestion import ingest, retry
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import open_store

WORDS = ["tea", "tea.", "tea!", "coffee", "coffees", "a railway", "a railway timetable", "a railways", "rain", "tea.!"]
LIMIT = 0.9


def documents(texts: list[str]) -> list[Document]:
    return [Document(f"d{i:03}", text) for i, text in enumerate(texts)]


def greedy(encoder: Encoder, texts: list[str]) -> list[str]:
    """The ids that stay: each that is near to none before it that stays."""
    vectors = encoder.encode_document(texts).astype(np.float64) if texts else np.empty((0, 8))
    kept: list[int] = []
    for i, vector in enumerate(vectors):
        if all(vector @ vectors[j] < LIMIT - 1e-6 for j in kept):
            kept.append(i)
    return [f"d{i:03}" for i in kept]


def ids(store: GuardedStore, name: str = "docs") -> list[str]:
    return sorted(row.id for row in store.open(name).records(None))


def memory() -> GuardedStore:
    return open_store(f"memory:{uuid.uuid4()}")


@settings(max_examples=20)
@given(st.lists(st.sampled_from(WORDS), max_size=30), st.integers(1, 9))
def test_what_stays_is_near_to_nothing_before_it(encoder: Encoder, texts: list[str], window: int) -> None:
    store = memory()
    expected = greedy(encoder, texts)
    report = ingest(documents(texts), encoder, store, collection="docs", dedupe=LIMIT, window=window)
    assert ids(store) == expected
    assert report.near_duplicates == report.dead == len(texts) - len(expected)
    assert report.read == report.written + report.dead
    again = ingest(documents(texts), encoder, store, collection="docs", dedupe=LIMIT, window=3)
    assert (again.written, again.unchanged, again.dead) == (0, len(expected), report.dead)
    assert ids(store) == expected


@pytest.mark.parametrize(
    ("url", "client"),
    [
        ("chroma:index", "chromadb"),
        ("duckdb:index.duckdb", "duckdb"),
        ("lancedb:index", "lancedb"),
        ("milvus:index.db", "milvus_lite"),
        ("qdrant:index", "qdrant_client"),
        ("qdrant-edge:index", "qdrant_edge"),
        ("sqlite-vec:index.db", "sqlite_vec"),
    ],
)
@pytest.mark.usefixtures("entry_points")
def test_over_databases(encoder: Encoder, url: str, client: str) -> None:
    pytest.importorskip(client)
    texts = [WORDS[i % 10] + " x" * (i // 20) for i in range(60)]
    with open_store(url) as store:
        report = ingest(documents(texts), encoder, store, collection="docs", dedupe=LIMIT, window=7)
        assert ids(store) == greedy(encoder, texts)
        assert report.near_duplicates == 60 - len(ids(store))


def test_a_run_that_is_cut_comes_to_the_same_end(encoder: Encoder, store: GuardedStore, faulty) -> None:
    texts = [WORDS[i % 10] + " y" * (i // 10) for i in range(40)]
    calls = []

    def fault(batch: object) -> None:
        calls.append(batch)
        if len(calls) > 3:
            raise StoreError("the disk is full")

    faulty.fault = fault
    with pytest.raises(IngestError):
        ingest(documents(texts), encoder, store, collection="docs", dedupe=LIMIT, window=4)
    assert 0 < len(ids(store)) < len(greedy(encoder, texts))
    faulty.fault = lambda batch: None
    ingest(documents(texts), encoder, store, collection="docs", dedupe=LIMIT)
    assert ids(store) == greedy(encoder, texts)


def test_each_is_told_with_the_row_that_it_is_near_and_can_be_written_after_all(
    encoder: Encoder, store: GuardedStore
) -> None:
    report = ingest(documents(["tea", "rain", "tea", "tea!"]), encoder, store, collection="docs", dedupe=0.999)
    letters = [json.loads(line) for line in Path("docs.dead.jsonl").read_text().splitlines()]
    assert [letter["reason"] for letter in letters][:1] == ["nearly the same as 'd000' (cosine 1.0000)"]
    assert letters[0]["document"]["id"] == "d002"
    assert "1 of the unusable rows are nearly the same as another" in str(report)
    assert json.loads(report.to_json())["near_duplicates"] == 1
    retry("docs.dead.jsonl", encoder, store, collection="docs")
    assert ids(store) == ["d000", "d001", "d002", "d003"]


def test_a_row_that_is_there_is_replaced_whatever_it_is_near(encoder: Encoder, store: GuardedStore) -> None:
    ingest(documents(["tea", "rain"]), encoder, store, collection="docs", dedupe=LIMIT)
    report = ingest(documents(["tea", "tea"]), encoder, store, collection="docs", dedupe=LIMIT)
    assert (report.written, report.dead) == (1, 0)
    assert {row.text for row in store.open("docs").records(None)} == {"tea"}


def test_the_first_of_several_chunks_stays_and_no_chunk_is_left_behind(encoder: Encoder, store: GuardedStore) -> None:
    def rows(words: str, *others: Document) -> chunked:
        return chunked([Document("a", "tea is green. " * 9), Document("b", words), *others], encoder, Chunking(20))

    report = ingest(rows("tea is green. " * 9), encoder, store, collection="docs", dedupe=0.99)
    assert {"a#0", "b#0"} <= set(ids(store))
    assert report.near_duplicates > 5
    ingest(rows("rain"), encoder, store, collection="docs", dedupe=0.99)
    assert [row_id for row_id in ids(store) if row_id.startswith("b")] == ["b#0"]
    # A whole document that is cut for the first time is near to itself.
    ingest([Document("c", "a railway")], encoder, store, collection="docs")
    ingest(rows("rain", Document("c", "a railway")), encoder, store, collection="docs", dedupe=0.99)
    assert [row_id for row_id in ids(store) if row_id.startswith("c")] == ["c#0"]


@pytest.mark.parametrize("precision", ["float16", "int8", "binary"])
def test_rows_are_compared_as_they_are_kept(encoder: Encoder, precision: str) -> None:
    store = memory()
    texts = [WORDS[i % 10] for i in range(30)]
    report = ingest(documents(texts), encoder, store, collection="docs", dedupe=1.0, precision=precision, window=4)
    assert report.near_duplicates >= 20
    again = ingest(documents(texts), encoder, store, collection="other", dedupe=1.0, precision=precision)
    assert (ids(store), again.near_duplicates) == (ids(store, "other"), report.near_duplicates)


def test_what_cannot_be_is_refused(encoder: Encoder, store: GuardedStore) -> None:
    for wrong in (0, 1.5, "0.9", True, float("nan")):
        with pytest.raises(OptionError, match="dedupe: expected"):
            ingest(["tea"], encoder, store, collection="docs", dedupe=wrong)
    with pytest.raises(OptionError, match="a sync may delete the row that another was left out for"):
        ingest(["tea"], encoder, store, collection="docs", dedupe=0.9, sync=True)
    with pytest.raises(OptionError, match="keeps no dense vectors that are compared by cosine"):
        ingest(["tea"], encoder, store, collection="far", metric="dot", dedupe=0.9)
