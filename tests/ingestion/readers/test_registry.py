from __future__ import annotations

import gzip
import io
import json
import sys
from operator import length_hint

import pytest

from embedkit.errors import InputError
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


@pytest.mark.parametrize("name", ["a.jsonl", "a.NDJSON", "a.json-lines"])
def test_json_lines_are_known_by_the_name(tmp_path, name):
    assert rows(jsonl(tmp_path, '{"id": 1, "text": "t"}', name))[0].id == "1"


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


def test_a_text_file_is_one_document(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.md").write_bytes(b"\xef\xbb\xbf# Titel\n\xc3\xa9\n")
    (row,) = rows("note.md")
    assert (row.id, row.text, row.metadata) == ("note.md", "# Titel\né\n", {"path": "note.md"})


def test_a_text_file_that_is_no_text_is_bad(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"ok\xff")
    (bad,) = rows(tmp_path / "a.txt")
    assert "not valid UTF-8: byte 0xff at 2" in bad.reason
    monkeypatch.setattr(pieces, "MAX_BYTES", 2)
    (bad,) = rows(tmp_path / "a.txt")
    assert "longer than 2 bytes" in bad.reason


def test_a_text_file_that_vanishes_meanwhile_is_bad(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    files = FileRows([path])
    path.unlink()
    assert "cannot be read" in next(iter(files)).reason


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        FileRows([tmp_path / "none.jsonl", tmp_path / "neither.txt", "a\0b"])
    for part in ("none.jsonl: No such file", "neither.txt: No such file", "null"):
        assert part in str(caught.value)


def test_standard_input(monkeypatch):
    raw = b'{"id": "a", "text": "1"}\n{\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    good, bad = FileRows(["-"])
    assert (good.id, good.source, bad.line) == ("a", "standard input", 2)
    with pytest.raises(InputError, match="once only"):
        FileRows(["-", "-"])


def test_standard_input_in_another_format(monkeypatch):
    def given(raw, form):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        return list(FileRows(["-"], format=form))

    assert [(row.id, row.text) for row in given(b"id,text\n1,one\n2,two\n", "csv")] == [("1", "one"), ("2", "two")]
    assert [(row.id, row.text) for row in given(b"id\ttext\n1\tone\n", "tsv")] == [("1", "one")]
    assert [(row.id, row.text) for row in given(b"plain words", "text")] == [("-", "plain words")]
    assert [row.text for row in given(gzip.compress(b'{"id": 1, "text": "packed"}'), None)] == ["packed"]
    with pytest.raises(InputError, match="parquet cannot be read from standard input"):
        given(b"", "parquet")
    with pytest.raises(InputError, match="format: expected one of jsonl, csv"):
        given(b"", "xml")


def test_a_file_that_changes_while_it_is_read_is_reported(tmp_path):
    whole = "".join(json.dumps({"id": i, "text": "t"}) + "\n" for i in range(5))
    path = tmp_path / "docs.jsonl"

    def reread(change):
        path.write_text(whole)
        rows = iter(FileRows([path]))
        before = [next(rows)]
        change()
        return before + list(rows)

    def grow():
        with path.open("a") as file:
            file.write('{"id": "new", "text": "t"}\n')

    def replace():
        other = tmp_path / "other"
        other.write_bytes(path.read_bytes())
        other.replace(path)

    for change in (grow, replace, lambda: path.write_text(""), path.unlink):
        found = reread(change)
        assert [row.id for row in found[:5]] == ["0", "1", "2", "3", "4"]
        assert "changed while it was read: run again" in found[-1].reason
        assert (found[-1].format, found[-1].row) == (f"file:jsonl:{path}", str(path))


def test_the_number_of_rows_is_known_beforehand(tmp_path):
    path = jsonl(tmp_path, "".join(json.dumps({"id": i, "text": "t"}) + "\n" for i in range(7)))
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    assert length_hint(FileRows([path, tmp_path / "a.txt"])) == 8
    assert length_hint(FileRows([path, "-"])) == 0
    assert length_hint(FileRows([path, tmp_path])) == 0
