"""A sync leaves exactly the source's rows, and never deletes by a source that says too little."""

from __future__ import annotations

import gzip
import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.ingestion import FileRows, ingest
from embedkit.ingestion.pipeline import prune as pruning
from embedkit.ingestion.rows.row import BadRow
from embedkit.records.documents import Document
from embedkit.records.filters import F
from embedkit.stores.contract import StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store


@pytest.fixture
def store() -> GuardedStore:
    return fresh_store()


def fresh_store() -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))


def documents(ids, **metadata):
    return [Document(row_id, f"text of {row_id}", metadata) for row_id in ids]


def ids_in(store, name="docs"):
    return {row.id for row in store.open(name).scan(limit=10_000).records}


def test_what_the_source_lost_is_deleted(encoder, store):
    ingest(documents("abcd"), encoder, store, collection="docs")
    assert ids_in(store) == set("abcd")
    report = ingest(documents("bce"), encoder, store, collection="docs", sync=True)
    assert (report.written, report.unchanged, report.deleted) == (1, 2, 2)
    assert "2 deleted" in str(report)
    assert ids_in(store) == set("bce")
    assert ingest(documents("bce"), encoder, store, collection="docs", sync=True).deleted == 0


def test_an_empty_source_deletes_nothing(encoder, store):
    ingest(documents("ab"), encoder, store, collection="docs")
    for source in ([], [Document("a", " ")], [BadRow("f", 1, "no JSON", "{")]):
        with pytest.raises(InputError, match="no usable row, so nothing was deleted"):
            ingest(source, encoder, store, collection="docs", sync=True)
        assert ids_in(store) == set("ab")


def test_a_row_without_an_id_forbids_deleting_and_the_others_are_written(encoder, store):
    ingest(documents("ab"), encoder, store, collection="docs")
    source = [*documents("ac"), BadRow("file", 3, "no JSON", "{")]
    with pytest.raises(InputError, match="1 rows of the source have no id"):
        ingest(source, encoder, store, collection="docs", sync=True)
    assert ids_in(store) == set("abc")


def test_a_row_that_cannot_be_used_keeps_what_is_stored_of_it(encoder, store):
    parts = [Document(f"b#{i}", f"part {i}", {"source": "b", "chunk": i, "chunks": 2}) for i in range(2)]
    stored = [*documents("abc"), *parts, Document("no chunk", "x", {"source": "b"})]
    ingest(stored, encoder, store, collection="docs")
    source = [*documents("a"), Document("b", ""), Document("nul \0", "text")]
    report = ingest(source, encoder, store, collection="docs", sync=True)
    assert (report.dead, report.deleted) == (2, 2)
    assert ids_in(store) == {"a", "b", "b#0", "b#1"}


def test_rows_outside_of_within_are_left_alone(encoder, store):
    ingest([*documents("ab", site="x"), *documents("cd", site="y")], encoder, store, collection="docs")
    ingest(documents("a", site="x"), encoder, store, collection="docs", sync=True, filter=F("site") == "x")
    assert ids_in(store) == {"a", "c", "d"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.sets(st.integers(0, 12), min_size=1), min_size=1, max_size=4))
def test_after_each_sync_the_rows_are_the_sources(encoder, monkeypatch, sources):
    monkeypatch.setattr(pruning, "_PAGE", 3)
    monkeypatch.setattr(pruning, "_AT_ONCE", 2)
    store = fresh_store()
    for source in sources:
        rows = documents(map(str, sorted(source)))
        ingest(rows, encoder, store, collection="docs", sync=True)
        assert ids_in(store) == {row.id for row in rows}


def test_a_damaged_table_forbids_deleting_and_a_damaged_document_keeps_its_own(encoder, store, tmp_path):
    rows = "".join(json.dumps({"id": f"r{i}", "text": f"row {i}"}) + "\n" for i in range(50))
    table, note, other = tmp_path / "rows.jsonl.gz", tmp_path / "note.txt", tmp_path / "other.txt"
    table.write_bytes(gzip.compress(rows.encode()))
    note.write_text("a note")
    other.write_text("another")
    paths = [str(path) for path in (table, note, other)]
    ingest(FileRows(paths), encoder, store, collection="docs")
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(InputError, match="1 rows of the source have no id"):
        ingest(FileRows(paths[:2]), encoder, store, collection="docs", sync=True)
    assert len(ids_in(store)) == 52
    table.write_bytes(gzip.compress(rows.encode()))
    note.write_bytes(b"\xff")
    assert ingest(FileRows(paths[:2]), encoder, store, collection="docs", sync=True).deleted == 1
    assert ids_in(store) == {*(f"r{i}" for i in range(50)), str(note)}
