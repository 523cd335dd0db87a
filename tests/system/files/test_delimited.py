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
    (bad,) = rows(b'"a" or b\ta "b\n', "\t")
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
