from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.system.files import delimited
from embedkit.system.files import lines as pieces
from embedkit.system.files.delimited import table_rows
from embedkit.system.files.lines import NotText, Unreadable

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0\ufeff"), max_size=8)


def rows(raw, delimiter=",", **options):
    return list(table_rows(io.BytesIO(raw), delimiter, **options))


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=5), st.sampled_from([",", "\t"]))
def test_what_the_csv_module_writes_is_read(table, delimiter):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    raw = file.getvalue().encode()
    found = rows(raw, delimiter)
    assert [row.cells() for row in found] == table
    assert "".join(row.raw for row in found).encode() == raw
    starts = [1 + sum(row.raw.count("\n") for row in found[:i]) for i in range(len(found))]
    assert [row.line for row in found] == starts


def test_without_quoting_a_quote_is_a_character():
    (row,) = rows(b'"a" or b\ta "b\n', "\t", quoted=False)
    assert row.cells() == ['"a" or b', 'a "b']
    (bad,) = rows(b'"a" or b\ta "b\n', "\t")  # a header
    with pytest.raises(Unreadable, match="broken quoting"):
        bad.cells()


def test_a_bad_row_costs_no_other():
    first, broken, bytes_, blank, last = rows(b'a,b\n"c" d,e\nf,\xff\n\ng,h\n')
    assert (first.cells(), last.cells(), blank.cells()) == (["a", "b"], ["g", "h"], [])
    assert [row.line for row in (first, broken, bytes_, blank, last)] == [1, 2, 3, 4, 5]
    with pytest.raises(Unreadable, match="broken quoting or line ends"):
        broken.cells()
    with pytest.raises(NotText, match="not valid UTF-8: byte 0xff at 0"):
        bytes_.cells()
    assert bytes_.raw.encode("utf-8", "surrogateescape") == b"f,\xff\n"


def test_long_lines_and_quotes_that_never_close(monkeypatch):
    monkeypatch.setattr(pieces, "MAX_BYTES", 100)
    monkeypatch.setattr(delimited, "RAW_KEPT", 30)
    first, long, last = rows(b"a,b\n" + b"x" * 500 + b",y\nc,d\n")
    assert (first.cells(), last.cells()) == (["a", "b"], ["c", "d"])
    with pytest.raises(Unreadable, match="the line is longer than 100 bytes"):
        long.cells()
    _, open_ = rows(b'a,b\n"' + b"c,d\n" * 50)
    assert open_.line == 2
    assert len(open_.raw) < 40
    with pytest.raises(Unreadable, match="a quote that is opened here is not closed until the file ends"):
        open_.cells()


def test_the_limit_of_other_readers_is_not_lowered():
    before = csv.field_size_limit()
    try:
        csv.field_size_limit(1 << 40)
        rows(b"a\n")
        assert csv.field_size_limit() == 1 << 40
        csv.field_size_limit(10)
        (row,) = rows(b"x" * 1_000)
        assert len(row.cells()[0]) == 1_000
    finally:
        csv.field_size_limit(before)


def cells(raw, delimiter="\t"):
    return [(row.line, row.cells()) for row in rows(raw, delimiter)]


def test_a_row_between_tabs_whose_quotes_do_not_match_is_read_as_it_stands():
    assert cells(b'id\ttext\n1\t"so" he said\n2\t"open\n3\t5" of it\n4\t"x\ty"\n') == [
        (1, ["id", "text"]), (2, ["1", '"so" he said']), (3, ["2", '"open']), (4, ["3", '5" of it']), (5, ["4", "x\ty"]),
    ]  # fmt: skip
    assert cells(b'id\ttext\n1\t"a\n2\tb"\n') == [(1, ["id", "text"]), (2, ["1", '"a']), (3, ["2", 'b"'])]
    assert cells(b'id\ttext\n1\t"a\nb"\n2\tc') == [(1, ["id", "text"]), (2, ["1", "a\nb"]), (4, ["2", "c"])]
    assert cells(b'text\n"a\nb"\n') == [(1, ["text"]), (2, ["a\nb"])]


def test_between_tabs_a_row_of_another_width_is_bad_still_and_so_is_one_between_commas():
    _, bad, good = rows(b'id\ttext\n1\t"x" y\tz\n2\tb\n', "\t")
    assert (isinstance(bad.found, Unreadable), good.cells()) == (True, ["2", "b"])
    _, bad, good = rows(b'id,text\n1,"x" y\n2,b\n')
    assert (isinstance(bad.found, Unreadable), good.cells()) == (True, ["2", "b"])


@given(
    st.lists(st.tuples(CELLS, CELLS).map(lambda row: [cell.translate({9: " ", 10: " "}) for cell in row]), max_size=6)
)
def test_what_was_written_without_quoting_keeps_its_rows(table):
    table = [row for row in table if any(row)]
    raw = "".join("\t".join(row) + "\n" for row in [["id", "text"], *table]).encode()
    found = cells(raw)
    assert [line for line, _ in found] == list(range(1, len(table) + 2))
    for (_, row), wanted in zip(found[1:], table, strict=True):
        assert len(row) == 2
        assert [cell.replace('"', "") for cell in row] == [cell.replace('"', "") for cell in wanted]


@given(st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=5))
def test_rows_that_end_in_a_carriage_return_are_read(table):
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r", quoting=csv.QUOTE_ALL).writerows([["id", "text"], *table])
    found = rows(file.getvalue().encode())
    assert [row.cells() for row in found] == [["id", "text"], *table]


def test_line_ends_of_every_kind(monkeypatch):
    assert cells(b"\xef\xbb\xbfid,text\r1,a\r\r2,b", ",") == [
        (1, ["id", "text"]),
        (2, ["1", "a"]),
        (3, []),
        (4, ["2", "b"]),
    ]
    assert cells(b'id,"te\rxt"\r\n1,a\r\n', ",") == [(1, ["id", "te\rxt"]), (2, ["1", "a"])]
    assert cells(b"id,text\r\r\n1,a\r\r\n", ",") == [(1, ["id", "text"]), (2, ["1", "a"])]
    monkeypatch.setattr(pieces, "MAX_BYTES", 100)
    first, long, last = rows(b"a,b\r" + b"x" * 500 + b",y\rc,d\r")
    assert (first.cells(), isinstance(long.found, Unreadable), last.cells()) == (["a", "b"], True, ["c", "d"])
