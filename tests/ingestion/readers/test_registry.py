from __future__ import annotations

import gzip
import io
import json
import sys
from operator import length_hint

import pytest

from embedkit.errors import InputError
from embedkit.ingestion import FileRows


def rows(path, **options):
    return list(FileRows([path], **options))


def jsonl(tmp_path, raw, name="docs.jsonl"):
    path = tmp_path / name
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.NDJSON", "a.json-lines"])
def test_json_lines_are_known_by_the_name(tmp_path, name):
    assert rows(jsonl(tmp_path, '{"id": 1, "text": "t"}', name))[0].id == "1"


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        FileRows([tmp_path / "none.jsonl", tmp_path / "neither.txt"])
    for part in ("none.jsonl: No such file", "neither.txt: No such file"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match=r"paths: expected a path, found str 'a\\x00b'"):
        FileRows([tmp_path / "none.jsonl", "a\0b"])


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
