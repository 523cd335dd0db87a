from __future__ import annotations

import hashlib
import math

import pytest

from embedkit.errors import InputError
from embedkit.ingestion import Fields
from embedkit.ingestion.rows.fields import NoDocument

ROW = {
    "key": 7,
    "title": "Tea",
    "body": "Leaves.",
    "author": {"name": "Ann", "born": 1970},
    "parts": [{"body": "first"}, {"body": "second"}],
    "a.b": "dotted",
}


def read(fields, row=ROW):
    return fields.document(row, path="docs.jsonl", line=3)


def test_paths_reach_into_objects_and_lists():
    fields = Fields(id="key", text="author.name")
    row_id, text, metadata = read(fields)
    assert (row_id, text) == ("7", "Ann")
    assert metadata == {key: value for key, value in ROW.items() if key not in ("key", "author")} | {
        "author": {"born": 1970}
    }
    assert read(Fields(id="key", text="parts.1.body"))[1] == "second"
    assert read(Fields(id="a.b", text="body"))[0] == "dotted"


def test_an_object_that_held_the_text_alone_goes_with_it():
    assert read(Fields(text="doc.body"), {"id": "a", "doc": {"body": "t"}, "n": 1})[2] == {"n": 1}


def test_several_fields_and_templates():
    assert read(Fields("key", ["title", "body"]))[1] == "Tea\n\nLeaves."
    assert read(Fields("key", ("title", "none", "body")))[1] == "Tea\n\nLeaves."
    assert read(Fields("key", "{title} by {author.name}: {body}"))[1] == "Tea by Ann: Leaves."
    assert read(Fields("key", "{none}\n\n{body}"))[1] == "Leaves."
    assert set(read(Fields("key", "{title} {body}"))[2]) == {"author", "parts", "a.b"}
    assert read(Fields("key", "{author.born}"))[1] == "1970"
    with pytest.raises(NoDocument, match="'none', 'neither' are missing"):
        read(Fields("key", "{none} {neither}"))
    with pytest.raises(NoDocument, match="'parts' is a list, expected text"):
        read(Fields("key", ["title", "parts"]))


def test_chosen_metadata_may_be_part_of_the_text_too():
    assert read(Fields("key", "{title} {body}", ["title", "author.born", "none"]))[2] == {
        "title": "Tea",
        "author.born": 1970,
    }
    assert read(Fields("key", "body", []))[2] == {}


def test_ids_can_be_made():
    row = {"body": "Leaves."}
    with pytest.raises(NoDocument, match=r"'id' is missing or null; --id-from text, path or row"):
        read(Fields(text="body"), row)
    assert read(Fields(text="body", id_from="text"), row)[0] == hashlib.sha256(b"Leaves.").hexdigest()[:32]
    assert read(Fields(text="body", id_from="path"), row)[0] == "docs.jsonl:3"
    assert read(Fields(text="body", id_from="row"), row)[0] == "3"
    assert read(Fields(text="body", id_from="row"), {"id": "own", **row})[0] == "own"
    assert read(Fields(text="body", id_from="row"), {"id": "", **row})[0] == "3"
    with pytest.raises(NoDocument, match="'id' is a list"):
        read(Fields(text="body", id_from="row"), {"id": [1], **row})


def test_what_pandas_has_for_nothing_is_nothing():
    row = {"id": math.nan, "title": math.nan, "body": "Leaves.", "n": math.nan}
    assert read(Fields(text=["title", "body"], metadata=[], id_from="row"), row) == ("3", "Leaves.", {})
    with pytest.raises(NoDocument, match="'title' is missing or null"):
        read(Fields(text="title", id_from="row"), row)


def test_bytes_become_text_where_they_are_read():
    row = {"a": {"id": b"k", "t": [b"x", b"\xff"]}, "raw": b"\xff"}
    readable = Fields(id="a.id", text="a.t.0").readable(row)
    assert readable == {"a": {"id": "k", "t": ["x", b"\xff"]}, "raw": b"\xff"}
    with pytest.raises(NoDocument, match=r"'a\.t\.1' is bytes, expected text: not valid UTF-8") as caught:
        Fields(id="a.id", text="a.t.1").readable(row)
    assert caught.value.id == "k"
    assert row["a"]["id"] == b"k"


def test_which_columns_are_read():
    assert all(map(Fields().reads, ["id", "text", "other"]))
    fields = Fields(id="a.id", text=["t", "u"], metadata=["m"])
    assert [name for name in ("a", "t", "u", "m", "id", "other") if fields.reads(name)] == ["a", "t", "u", "m"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": ""}, "expected names"),
        ({"text": []}, "expected names"),
        ({"text": ["a", "{b}"]}, "one template"),
        ({"metadata": "a,b"}, "expected a list of names"),
        ({"metadata": 5}, "metadata_fields: expected a list of names, found int"),
        ({"text": 5}, "expected names"),
        ({"text": ["a", 5]}, "expected names"),
        ({"id": None}, "expected names"),
        ({"types": 5}, "types: expected a mapping of fields to types, found int"),
        ({"id_from": "hash"}, "id_from: expected one of text, path, row, found 'hash'"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Fields(**options)
