from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.ingestion import BadRow, FileRows
from embedkit.system.files import lines as pieces


def rows(folder, raw, name="docs.csv", **options):
    path = folder / name
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return list(FileRows([path], **options))


def test_a_row_is_a_document_and_other_columns_are_metadata(tmp_path):
    (row,) = rows(tmp_path, "id,text,year,lang\n7,some text,2020,\n")
    assert (row.id, row.text, row.metadata, row.line) == ("7", "some text", {"year": "2020", "lang": ""}, 2)


def test_a_bom_crlf_blank_lines_and_a_missing_last_newline_are_fine(tmp_path):
    found = rows(tmp_path, b"\xef\xbb\xbfid,text\r\n1,one\r\n\r\n2,two")
    assert [(row.id, row.text, row.line) for row in found] == [("1", "one", 2), ("2", "two", 4)]


def test_quoted_cells_hold_commas_quotes_and_lines(tmp_path):
    found = rows(tmp_path, 'id,text\n1,"a, ""b""\n\nc"\n2,next\n')
    assert [(row.id, row.text, row.line) for row in found] == [("1", 'a, "b"\n\nc', 2), ("2", "next", 5)]


def test_tsv(tmp_path):
    (row,) = rows(tmp_path, 'id\ttext\tn\n1\ta, "b"\t"x\ty"\n', "docs.tsv")
    assert (row.text, row.metadata) == ('a, "b"', {"n": "x\ty"})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x,short", "the header has 3 columns, this row 2"),
        (b"x,y,z,more", "the header has 3 columns, this row 4"),
        (b'x,"quoted" and more,z', "broken quoting"),
        (b"x,\xff,z", "not valid UTF-8: byte 0xff at 0"),
        (b"x,a\rb,z", "line ends"),
    ],
)
def test_a_bad_row_costs_no_other(tmp_path, line, reason):
    first, bad, last = rows(tmp_path, b"id,text,n\na,1,\n" + line + b"\nb,2,\n")
    assert (first.id, last.id) == ("a", "b")
    assert isinstance(bad, BadRow)
    assert bad.line == 3
    assert reason in bad.reason
    assert (bad.row, bad.format) == ("id,text,n\n" + line.decode("utf-8", "backslashreplace"), "csv")


def test_a_quote_that_is_never_closed_is_one_bad_row(tmp_path, monkeypatch):
    good, bad = rows(tmp_path, 'id,text\n1,good\n2,"open\n3,lost\n4,lost\n')
    assert (good.id, bad.line) == ("1", 3)
    assert "not closed until the file ends" in bad.reason
    assert bad.row.endswith('2,"open\n3,lost\n4,lost')


def test_a_huge_cell_is_bad_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "MAX_BYTES", 1_000_000)
    bad, good = rows(tmp_path, "id,text\n1," + "x" * 1_200_000 + "\n2,good\n")
    assert "longer than 1,000,000" in bad.reason
    assert len(bad.row) < 5_000
    assert good.id == "2"
    (large,) = rows(tmp_path, "id,text\n1," + "x" * 200_000)
    assert len(large.text) == 200_000


def test_of_a_quote_that_swallows_the_rest_little_is_kept(tmp_path):
    path = tmp_path / "docs.csv"
    path.write_text('id,text\n1,"open\n' + "2,lost\n" * 1_000_000)
    (bad,) = FileRows([path])
    assert bad.line == 2
    assert (len(bad.row), bad.format) == (2_000, "")


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("id,body", {}, r"no column 'text' among 'id', 'body'; name the right one with --id-field or --text-field"),
        ("key,text", {}, r"no column 'id' among .* make ids with --id-from text, path or row"),
        ("id,text,n,n", {}, "the column 'n' is there twice"),
        ("id,text", {"metadata_fields": ["year"]}, "no column 'year'"),
        ("id,text", {"text_field": "{title} {text}"}, "no column 'title'"),
        ("id,text", {"text_field": ["title", "body"]}, "no column 'title'"),
        ('id,"text', {}, "the header cannot be read"),
        ("id,t\udcff", {}, "the header cannot be read: not valid UTF-8"),
    ],
)
def test_a_wrong_header_is_an_error(tmp_path, header, options, message):
    with pytest.raises(InputError, match=message):
        rows(tmp_path, header.encode("utf-8", "surrogateescape") + b"\na,b,c,d\n", **options)


def test_an_empty_file_has_no_rows(tmp_path):
    assert rows(tmp_path, "") == []
    assert rows(tmp_path, "id,text\n") == []


def test_rows_without_an_id_get_one(tmp_path):
    found = rows(tmp_path, "text\none\ntwo\n", id_from="row")
    assert [(row.id, row.text) for row in found] == [("2", "one"), ("3", "two")]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(st.integers(), CELLS, CELLS), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_is_quoted_comes_back(table, end):
    def quoted(cell):
        return '"' + str(cell).replace('"', '""') + '"'

    written = "".join(",".join(map(quoted, row)) + end for row in [("id", "text", "note"), *table])
    with tempfile.TemporaryDirectory() as folder:
        found = rows(Path(folder), written)
    assert [(row.id, row.text, row.metadata["note"]) for row in found] == [
        (str(i), text, note) for i, text, note in table
    ]
