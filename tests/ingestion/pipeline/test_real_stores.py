"""The pipeline over the databases themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from embedkit.ingestion import ingest
from embedkit.records.documents import Document
from embedkit.retrieval.searching import search
from embedkit.stores.opening import open_store

CLIENTS = {
    "chroma:index": "chromadb",
    "duckdb:index.duckdb": "duckdb",
    "lancedb:index": "lancedb",
    "milvus:index.db": "milvus_lite",
    "qdrant:index": "qdrant_client",
    "qdrant-edge:index": "qdrant_edge",
    "sqlite-vec:index.db": "sqlite_vec",
}
ROWS = 800


@pytest.fixture(params=CLIENTS)
def store(request, entry_points, working_folder):
    pytest.importorskip(CLIENTS[request.param])
    with open_store(request.param) as store:
        yield store


def documents(changed=()):
    for n in range(ROWS):
        about = {"n": n, "nested": {"none": None, "list": [1, "é"]}, "at": datetime(2024, 1, 1, tzinfo=UTC)}
        yield Document(f"row/{n} 🎉", f"changed {n}" if n in changed else f"the text of row {n}", about)


def test_a_second_run_writes_nothing_and_ten_changed_rows_ten(store, encoder):
    first = ingest(documents(), encoder, store, collection="My docs")
    assert (first.written, store.open("My docs").count()) == (ROWS, ROWS)
    again = ingest(documents(), encoder, store, collection="My docs")
    assert (again.written, again.encoded, again.unchanged) == (0, 0, ROWS)
    changed = range(5, ROWS, ROWS // 10)
    third = ingest(documents(changed), encoder, store, collection="My docs")
    assert (third.written, third.encoded, third.unchanged) == (10, 10, ROWS - 10)
    hit = search("changed 165", encoder, store, collection="My docs", k=1)[0]
    assert (hit.id, hit.text, hit.metadata) == ("row/165 🎉", "changed 165", list(documents())[165].metadata)


def test_bad_rows_cost_no_good_one(store, encoder):
    rows = list(documents())[:20]
    bad = [Document("e", ""), Document("s", "\ud800"), Document("n\0", "t"), Document("m", "t", {"x": {1}}), rows[3]]
    odd = [Document("nul", "a\0b"), Document("long", "x" * 1_000_000), Document("deep", "t", {"a": [[[{"b": None}]]]})]
    report = ingest([*rows, *bad, *odd], encoder, store, collection="docs")
    assert (report.written, report.dead, report.duplicates) == (23, 4, 1)
    found = {row.id: row.text for row in store.open("docs").get([document.id for document in odd])}
    assert found == {document.id: document.text for document in odd}
