"""Labelled files: their forms agree, and an error names file, line, what was expected and what was found."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.evaluation.labelled import cells, check_file, grade_of, labelled, number_of, records, text_of
from embedkit.ingestion import FileRows
from embedkit.system.files import lines as pieces
from helpers.web import web

ROWS = [{"text": 'a, "b"', "n": "1"}, {"text": "two\nlines", "n": ""}, {"text": "ünï", "n": " 3 "}]


def written(form, rows):
    file = io.StringIO(newline="")
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    csv.DictWriter(file, list(rows[0]), lineterminator="\r\n").writeheader()
    csv.DictWriter(file, list(rows[0]), lineterminator="\r\n").writerows(rows)
    return file.getvalue().encode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_every_form_and_compression_is_read(tmp_path, form, pack, bom):
    path = tmp_path / f"a.{form}"
    path.write_bytes(pack(bom + written(form, ROWS)))
    found = list(records(path))
    assert [record for _, record in found] == ROWS
    first = 1 if form == "jsonl" else 2
    assert found[0][0] == f"sample {path}, line {first}"
    # A row of two lines stands where it begins, and the next one after it.
    assert found[2][0] == f"sample {path}, line {first + (2 if form == 'jsonl' else 3)}"


def test_an_ingest_reads_the_same_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(written("csv", [{"id": f"i{n}", **row} for n, row in enumerate(ROWS)]))
    rows = [(row.id, row.text, row.metadata["n"], row.line) for row in FileRows([path])]
    assert rows == [
        (record["id"], record["text"], record["n"], int(where.rpartition(" ")[2])) for where, record in records(path)
    ]


def test_plain_text_and_tables_between_tabs(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\n{}\n")
    assert [record for _, record in records(tmp_path / "a.txt")] == [{"text": "one"}, {"text": ""}, {"text": "{}"}]
    (tmp_path / "a.tab").write_bytes(b'text\tn\n"a\tb"\n\n')
    assert [record for _, record in records(tmp_path / "a.tab")] == [{"text": '"a', "n": 'b"'}]
    assert [row for _, row in cells(tmp_path / "a.tab")] == [["text", "n"], ['"a', 'b"']]


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n[1]\n', r"line 2: expected a JSON object; found '\[1\]': .*found a list"),
        ("a.jsonl", b'{"a": 1}\n{"a"\n', "line 2: expected a JSON object; found '{\"a\"'"),
        ("a.jsonl", b'{"a": "\xff"}\n', "line 1: expected readable UTF-8 text; .*byte 0xff at 7"),
        ("a.txt", b"one\n\xfe\n", "line 2: expected readable UTF-8 text"),
        ("a.csv", b"a,b\n\xff,1\n", "line 2: expected readable UTF-8 text"),
        ("a.csv", b"a,b\n1\n", "line 2: expected 2 columns as in the header; found 1"),
        ("a.csv", b'a,b\n1,2\n"x\ny\n', "line 3: expected a row of a table; found a quote that is opened here"),
        ("a.tsv", b"a\ta\n1\t2\n", "line 1: expected a header with different names; found a, a"),
        ("a.jsonl.gz", b'{"a": 1}\n', "expected readable UTF-8 text; found the name ends in .gz"),
        (
            "a.jsonl",
            gzip.compress(b'{"a": 1}\n' * 9, mtime=0)[:-6],
            "expected readable UTF-8 text; found Compressed file ended",
        ),
    ],
)
def test_hostile_files(tmp_path, name, raw, message):
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(InputError, match=rf"^sample .*{name}.*{message}"):
        list(records(path))


def test_lines_have_a_length_that_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "MAX_BYTES", 20)
    for name in ("a.jsonl", "a.txt", "a.tsv"):
        (tmp_path / name).write_bytes(b"{}\n" + b"x" * 30)
        with pytest.raises(InputError, match="line 2: expected a .*; found the line is longer than 20 bytes"):
            list(records(tmp_path / name))


def test_names_of_columns(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"b1": "x", "b2": "y", "s": 1, "l": 2}\n{"b1": "z", "b2": "w", "l": 3}\n')
    found = list(labelled(path, (("a1", "a2"), ("b1", "b2")), ("score", "l", "s")))
    assert [(texts, name, record[name]) for _, texts, name, record in found] == [
        (("x", "y"), "l", 2),
        (("z", "w"), "l", 3),
    ]
    with pytest.raises(InputError, match=r"the columns a1 \+ a2, and l; found b1, b2, s, l; rename them"):
        list(labelled(path, (("a1", "a2"),), ("l",)))
    path.write_text("\n")
    with pytest.raises(InputError, match="expected at least one record, found none"):
        list(labelled(path, (("a",),), ("l",)))
    for other, found_there in ((tmp_path, "a folder"), (tmp_path / "none", "nothing")):
        with pytest.raises(InputError, match=f"expected a file, found {found_there}"):
            check_file(other)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers())))
def test_fields(value):
    record = {"x": value}
    try:
        number = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != number or abs(number) == float("inf"):
        with pytest.raises(InputError, match='here: expected a finite number in "x"'):
            number_of(record, "x", "here")
    else:
        assert number_of(record, "x", "here") == number
        if number == int(number) and number <= 10_000:
            assert grade_of(record, "x", "here") == number
        else:
            with pytest.raises(InputError, match="expected a whole number as grade, at most 10,000"):
                grade_of(record, "x", "here")
    if not isinstance(value, str):
        with pytest.raises(InputError, match='here, field "x": expected a string'):
            text_of(record, "x", "here")
    with pytest.raises(InputError, match='here: expected the field "y"; found x'):
        text_of(record, "y", "here")


def test_a_file_at_an_address(tmp_path):
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(written("csv", ROWS)))
    with web(tmp_path) as server:
        path = f"{server.url}/a.csv.gz"
        assert list(labelled(path, (("text",),), ("n",))) == [
            (where.replace(str(tmp_path), server.url), *rest)
            for where, *rest in labelled(tmp_path / "a.csv.gz", (("text",),), ("n",))
        ]
        server.status = 403
        with pytest.raises(InputError, match="expected a file, found .*403.*set the credentials") as refused:
            check_file(f"{server.url}/b.csv?key=secret")
        assert "secret" not in str(refused.value)
        server.status = 404
        with pytest.raises(InputError, match="expected a file, found nothing; correct the address"):
            check_file(f"{server.url}/b.csv")


def test_a_folder_at_an_address_is_no_file():
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.store.clear()
    memory.pipe("/b/f/x", b"")
    with pytest.raises(InputError, match="memory://b/f: expected a file, found a folder"):
        check_file("memory://b/f")
    assert check_file("memory://b/f/x") == "memory://b/f/x"
    memory.store.clear()
