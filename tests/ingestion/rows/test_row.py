"""Whatever an ingest is given becomes a row with a place, or a bad row that can be repaired."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.ingestion.rows.row import BadRow, SourcedDocument, fingerprint_of, refused, shown_as_json, sourced
from embedkit.records.documents import Document
from embedkit.records.metadata import content_hash, load_metadata


def test_each_form_of_a_document_has_a_place():
    assert sourced(Document("a", "text", {"n": 1}), 3) == SourcedDocument("a", "text", {"n": 1}, "documents", 3)
    assert sourced({"id": 7, "text": "t", "n": 1}, 4) == SourcedDocument("7", "t", {"n": 1}, "documents", 4)
    told = sourced("only a text", 5)
    assert told.id == hashlib.sha256(b"only a text").hexdigest()[:32]
    assert (told.text, told.metadata, told.line) == ("only a text", {}, 5)
    for row in (SourcedDocument("a", "t", {}, "file.csv", 9), BadRow("file.csv", 9, "broken", "x")):
        assert sourced(row, 1) is row


@pytest.mark.parametrize(
    ("item", "row_id", "reason"),
    [
        ({"text": "t"}, None, "'id' is missing or null"),
        ({"id": "a"}, "a", "'text' is missing or null"),
        ({"id": "a", "text": [1]}, "a", "'text' is a list, expected text"),
    ],
)
def test_a_mapping_that_is_no_document_is_a_bad_row(item, row_id, reason):
    row = sourced(item, 2)
    assert isinstance(row, BadRow)
    assert (row.source, row.line, row.id, row.format) == ("documents", 2, row_id, "jsonl")
    assert reason in row.reason
    assert json.loads(row.row) == item


@pytest.mark.parametrize("item", [None, 5, b"bytes", ["a"], object()])
def test_what_can_be_no_document_ends_the_ingest(item):
    with pytest.raises(InputError, match=f"found {type(item).__name__} as number 6"):
        sourced(item, 6)


def test_a_refused_document_keeps_how_it_stood():
    document = SourcedDocument("a", "text", {"n": 1}, "docs.csv", 2, "a,text,1")
    assert refused(document, "why") == BadRow("docs.csv", 2, "why", "a,text,1", "a", document=document)
    made = refused(SourcedDocument("a", "text", {"n": 1}, "documents", 2), "why")
    assert json.loads(made.row) == {"id": "a", "text": "text", "metadata": {"n": 1}}
    assert refused(SourcedDocument(5, "text"), "why").id is None


def test_the_hash_is_that_of_the_content():
    assert fingerprint_of(SourcedDocument("a", "text", {"n": 1}, "x", 1)) == content_hash("text", {"n": 1})
    for document, said in (
        (SourcedDocument("a", ""), "found an empty string"),
        (SourcedDocument("a", " \n\t"), "found only whitespace"),
        (SourcedDocument("", "t"), "id: expected a non-empty string"),
        (SourcedDocument("a", "\ud800"), "lone surrogate"),
        (SourcedDocument("a", "t", {"x": object()}), r"metadata\.x: cannot store a object"),
    ):
        with pytest.raises(InputError, match=said):
            fingerprint_of(document)


@pytest.mark.parametrize(
    ("item", "form"),
    [
        ({"text": "t", "at": datetime(2024, 5, 1)}, "record"),
        ({"id": "a", "text": b"\xff"}, ""),
        ({"text": "t", "x": object()}, ""),
    ],
)
def test_a_bad_row_is_read_again_as_it_was_or_not_at_all(item, form):
    """Values that JSON has not were kept as Python shows them, and read again as that text."""
    row = sourced(item, 2)
    assert isinstance(row, BadRow)
    assert row.format == form
    if form:
        assert load_metadata(row.row) == item


def test_bytes_and_whole_numbers_of_a_mapping():
    assert sourced({"id": 12.0, "text": b"caf\xc3\xa9", "n": b"x"}, 1) == SourcedDocument(
        "12", "café", {"n": b"x"}, "documents", 1
    )
    bad = sourced({"id": b"a", "text": b"\xff"}, 1)
    assert isinstance(bad, BadRow)
    assert (bad.id, bad.reason) == ("a", "the field 'text' is bytes, expected text: not valid UTF-8: byte 0xff at 0")


def test_a_value_that_is_no_json_is_shown_all_the_same():
    assert json.loads(shown_as_json({"a": b"x"})) == {"a": "b'x'"}
    itself: dict[str, object] = {}
    itself["self"] = itself
    assert shown_as_json(itself) == "{'self': {...}}"
    assert shown_as_json({(1, 2): 3}) == "{(1, 2): 3}"


class Hidden:
    """A value that cannot be shown."""

    def __repr__(self):
        raise KeyError("no")


class Torn(str):
    """A text of a stranger's, which cannot be encoded."""

    def encode(self, *given):
        raise KeyError("no")


def test_a_row_that_cannot_be_read_is_one_bad_row():
    released = memoryview(b"a")
    released.release()
    for item in ({"id": released, "text": "t"}, {"id": "a", "text": released}):
        row = sourced(item, 1)
        assert isinstance(row, BadRow)
        assert row.reason.startswith("the row: a value cannot be read (ValueError: ")
    for document in (SourcedDocument(Torn("a"), "t"), SourcedDocument("a", Torn("t"))):
        with pytest.raises(InputError, match=r"the row: a value cannot be read \(KeyError"):
            fingerprint_of(document)


VALUES = {
    "hidden": Hidden(), "long": 10**5000, "array": np.array([1, 2]), "scalar": np.array("x"), "list": [Hidden()],
    "mapping": {"a": Hidden()}, "keys": {1: Hidden()},
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_any_value_in_any_place_is_a_row_or_a_bad_row(kind):
    value = VALUES[kind]
    for item in ({"id": value, "text": "t"}, {"id": "a", "text": value}, {"text": "t", "x": value}):
        row = sourced(item, 1)
        assert isinstance(row, BadRow)
        assert isinstance(row.row, str)
    with pytest.raises(InputError):
        fingerprint_of(SourcedDocument("a", "t", {"x": {1: value}}))
