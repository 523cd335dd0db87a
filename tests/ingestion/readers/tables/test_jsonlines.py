"""JSON lines: one object a line."""

from __future__ import annotations

import pytest

from embedkit.ingestion import BadRow, FileRows
from embedkit.system.files import lines as pieces


def rows(path, **options):
    return list(FileRows([path], **options))


def jsonl(tmp_path, raw, name="docs.jsonl"):
    path = tmp_path / name
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return path


def test_a_line_is_a_document_and_the_rest_of_its_object_is_metadata(tmp_path):
    path = jsonl(tmp_path, '{"id": "a", "text": "one", "year": 2020, "tags": ["x", null]}\n')
    (row,) = rows(path)
    assert (row.id, row.text, row.metadata) == ("a", "one", {"year": 2020, "tags": ["x", None]})
    assert (row.source, row.line) == (str(path), 1)


def test_the_fields_of_id_and_text_can_be_named(tmp_path):
    path = jsonl(tmp_path, '{"key": 7, "body": "one", "id": "other", "text": "metadata here"}\n')
    (row,) = rows(path, id_field="key", text_field="body")
    assert (row.id, row.text, row.metadata) == ("7", "one", {"id": "other", "text": "metadata here"})


def test_a_bom_blank_lines_crlf_and_a_missing_last_newline_are_fine(tmp_path):
    path = jsonl(tmp_path, b'\xef\xbb\xbf{"id": "a", "text": "1"}\r\n\r\n  \n{"id": "b", "text": "2"}')
    assert [(row.id, row.line) for row in rows(path)] == [("a", 1), ("b", 4)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x", "text": "cut', "broken JSON"),
        (b"not json", "broken JSON"),
        (b'{"id": "x", "text": "t"} trailing', "broken JSON"),
        (b"[" * 100_000, "broken JSON"),
        (b'{"id": "x", "text": "t", "n": ' + b"1" * 5000 + b"}", "broken JSON"),
        (b'{"id": "x", "text": "\xff\xfe"}', "not valid UTF-8: byte 0xff at 21"),
        (b'["x", "t"]', "expected a JSON object, found a list"),
        (b'"x"', "expected a JSON object, found text"),
        (b"null", "expected a JSON object, found null"),
        (b'{"text": "t"}', "'id' is missing"),
        (b'{"id": null, "text": "t"}', "'id' is missing or null"),
        (b'{"id": true, "text": "t"}', "'id' is a bool"),
        (b'{"id": 1.5, "text": "t"}', "'id' is a number"),
        (b'{"id": "x"}', "'text' is missing"),
        (b'{"id": "x", "text": 5}', "'text' is a number"),
        (b'{"id": "x", "text": ["t"]}', "'text' is a list"),
        (b'{"id": "x", "text": {"a": 1}}', "'text' is an object"),
    ],
)
def test_a_bad_line_costs_no_other(tmp_path, line, reason):
    good = [b'{"id": "a", "text": "1"}', b'{"id": "b", "text": "2"}']
    path = jsonl(tmp_path, b"\n".join([good[0], line, good[1]]))
    first, bad, last = rows(path)
    assert (first.id, last.id) == ("a", "b")
    assert isinstance(bad, BadRow)
    assert (bad.source, bad.line) == (str(path), 2)
    assert reason in bad.reason
    assert bad.row == line.decode("utf-8", "backslashreplace")


def test_the_id_of_a_bad_line_is_kept_where_it_is_known(tmp_path):
    (bad,) = rows(jsonl(tmp_path, '{"id": "x", "text": null}'))
    assert bad.id == "x"


def test_an_endless_line_is_bad_and_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "MAX_BYTES", 100)
    path = jsonl(tmp_path, b'{"id": "long", "text": "' + b"x" * 5_000 + b'"}\n{"id": "b", "text": "2"}\n')
    bad, good = rows(path)
    assert "longer than 100 bytes" in bad.reason
    assert (good.id, good.line) == ("b", 2)
