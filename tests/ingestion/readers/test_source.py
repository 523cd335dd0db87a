"""What the rows of a file are made into."""

from __future__ import annotations

import pytest

from embedkit.ingestion import BadRow, Fields
from embedkit.ingestion.readers.source import Source
from embedkit.records.metadata import load_metadata

FILE = Source("/tmp/a.jsonl", "a.jsonl", "jsonl")


def test_a_row_knows_where_it_was_read():
    row = FILE.row({"id": 7, "text": "t", "year": 2020}, 12, Fields(), '{"id": 7}', "jsonl")
    assert (row.id, row.text, row.metadata) == ("7", "t", {"year": 2020})
    assert (row.source, row.line, row.row) == ("/tmp/a.jsonl", 12, '{"id": 7}')


def test_a_row_that_is_no_document_keeps_what_it_was():
    bad = FILE.row({"id": "x"}, 3, Fields(), "raw", "jsonl")
    assert isinstance(bad, BadRow)
    assert (bad.row, bad.id, bad.line, bad.format) == ("raw", "x", 3, "jsonl")
    made = FILE.row({"id": "x", "n": 1}, 3, Fields())
    assert (load_metadata(made.row), made.format) == ({"id": "x", "n": 1}, "record")
    # What cannot be kept without loss is shown, and not tried again.
    lost = FILE.row({"id": "x", "n": {1, 2}}, 3, Fields())
    assert lost.format == ""


@pytest.mark.parametrize(
    ("source", "name", "row_id", "form"),
    [
        (FILE, "/tmp/a.jsonl", None, "file:jsonl:a.jsonl"),
        (Source("/tmp/a.md", "a.md", "markdown"), "/tmp/a.md", "a.md", "file:markdown:a.md"),
        (Source("-", "-", "jsonl"), "standard input", None, ""),
    ],
)
def test_a_file_that_cannot_be_read(source, name, row_id, form):
    bad = source.bad("why", 4)
    assert (bad.source, bad.line, bad.reason, bad.id, bad.format) == (name, 4, "why", row_id, form)


def test_a_file_that_is_one_document():
    source = Source("/data/a.md", "a.md", "markdown")
    row = source.document("text", {"path": "its own", "n": 1}, Fields())
    assert (row.id, row.metadata) == ("a.md", {"path": "its own", "n": 1})
    named = source.document("text", {"n": 1}, Fields(metadata=["path"], id_from="text"))
    assert named.metadata == {"path": "a.md"}
    assert named.id == source.document("text", {}, Fields(id_from="text")).id != "a.md"
