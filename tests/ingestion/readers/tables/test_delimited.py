from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError, OptionError
from embedkit.ingestion import BadRow, Fields, FileRows
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.readers.tables.delimited import table_row
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


def test_blank_lines_before_the_header_are_none(tmp_path):
    (row,) = rows(tmp_path, "\n\r\nid,text\n1,one\n")
    assert (row.id, row.text, row.line) == ("1", "one", 4)
    assert rows(tmp_path, "\n\n") == []


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


def read(folder, raw, name="docs.csv", **options):
    (folder / name).write_bytes(raw)
    return list(FileRows([folder / name], **options))


def test_another_delimiter(tmp_path):
    raw = b'id;text;n\n1;one, two;5\n2;"a;b";6\n3;too;many;cells\n'
    with pytest.raises(InputError, match=r"no column 'id' among 'id;text;n'; .* between ';': give --delimiter ';'"):
        read(tmp_path, raw)
    first, second, bad = read(tmp_path, raw, delimiter=";")
    assert (first.text, first.metadata, second.text) == ("one, two", {"n": "5"}, "a;b")
    assert bad.reason == "the header has 3 columns, this row 4"
    again = table_row(bad.row.replace("many;", ""), 4, Source.of("docs.csv", "docs.csv", bad.format), Fields())
    assert (again.id, again.text) == ("3", "too")
    assert [row.text for row in read(tmp_path, b"id|text\n1|a,b\n", "docs.tsv", delimiter="|")] == ["a,b"]
    for wrong in (";;", '"', "\n", 5):
        with pytest.raises(OptionError, match="delimiter: expected one character"):
            FileRows([tmp_path / "docs.csv"], delimiter=wrong)


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("latin-1", "cp1252"), ("windows-1252", "cp1252"), ("utf-16", "utf-16"), ("utf-16le", "utf-16-le"), ("cp437", "cp437"),
     ("UTF-8", "utf-8-sig")],
)  # fmt: skip
def test_another_encoding(tmp_path, encoding, codec):
    raw = "id,text\n1,café\n".encode(codec)
    assert [(row.id, row.text) for row in read(tmp_path, raw, encoding=encoding)] == [("1", "café")]


def test_an_encoding_that_is_not_said_is_named(tmp_path):
    bad, good = read(tmp_path, "id,text\n1,café\n2,tea\n".encode("latin-1"))
    assert bad.reason.startswith("not valid UTF-8: byte 0xe9 at 3; if the file is in another encoding give --encoding")
    assert good.text == "tea"
    with pytest.raises(InputError, match="the header cannot be read: not valid UTF-8.*give --encoding"):
        read(tmp_path, "id,téxt\n".encode("latin-1"))
    bad, good = read(tmp_path, b"id,text\n1,\xaa\n2,\xe1\n", encoding="windows-1253")
    assert "of what --encoding windows-1253 makes of it" in bad.reason
    assert good.text == "α"
    for wrong in ("klingon", "hex", "rot13", "utf-8\n\0", "hz-gb-2312", "idna", "unicode_escape", 5):
        with pytest.raises(OptionError, match="encoding: expected a name such as"):
            read(tmp_path, b"", encoding=wrong)


def test_capitals_in_names_are_named(tmp_path):
    raw = b"ID,Text\n1,one\n"
    with pytest.raises(InputError, match="no column 'id' among 'ID', 'Text'; there is 'ID': give --id-field 'ID'"):
        read(tmp_path, raw)
    with pytest.raises(InputError, match="there is 'Text': give --text-field 'Text'"):
        read(tmp_path, raw, id_field="ID")
    assert [row.text for row in read(tmp_path, raw, id_field="ID", text_field="Text")] == ["one"]
    (bad,) = read(tmp_path, b'{"id": 1, "Text": "one"}\n', "docs.jsonl")
    assert bad.reason == "the field 'text' is missing or null; there is 'Text': give --text-field 'Text'"


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.jsonl", "a.html", "a.unknown"])
def test_all_texts_of_a_folder_are_in_the_encoding_that_is_said(tmp_path, name):
    if name == "a.html":
        pytest.importorskip("selectolax")
    text = {"a.jsonl": '{"id": "a", "text": "café"}', "a.html": "<meta charset=koi8-r><p>café"}.get(name, "café")
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    (row,) = FileRows([tmp_path], encoding="latin-1")
    assert row.text == "café"


def test_a_file_that_is_read_again_is_read_as_it_was(tmp_path):
    source = Source("docs.csv", "a:b", "csv", ";", "windows-1252")
    assert source.bad("why").format == "file:csv?delimiter=%3B&encoding=windows-1252:a:b"
    assert Source.of("docs.csv", "a:b", source.form) == source
    assert Source.of("docs.csv", "a", "csv") == Source("docs.csv", "a", "csv")


def test_columns_without_a_name_are_called_by_their_place(tmp_path):
    (row,) = read(tmp_path, b",id,text, \n0,1,one,x\n")
    assert (row.id, row.metadata) == ("1", {"column 1": "0", "column 4": "x"})


def test_tables_of_old_macs_and_tsv_without_quoting(tmp_path):
    assert [row.text for row in read(tmp_path, b"id,text\r1,one\r2,two\r")] == ["one", "two"]
    found = read(tmp_path, b'id\ttext\n1\t"Tea" is hot\n2\t"open\n3\tlast\n', "docs.tsv")
    assert [(row.id, row.text, row.line) for row in found] == [
        ("1", '"Tea" is hot', 2),
        ("2", '"open', 3),
        ("3", "last", 4),
    ]
