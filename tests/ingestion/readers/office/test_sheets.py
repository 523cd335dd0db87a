"""Excel: rows of the first sheet that has any."""

from __future__ import annotations

import logging
from datetime import datetime, time

import pytest

from embedkit.errors import InputError
from embedkit.ingestion.readers.office import sheets
from embedkit.ingestion.rows.row import BadRow

from .conftest import assert_broken_files_are_bad_rows, repacked, rows_of, saved


def book(*rows, more=()):
    import openpyxl

    found = openpyxl.Workbook()
    found.active.title = "empty"
    sheet = found.create_sheet("rows")
    for row in rows:
        sheet.append(row)
    for name in more:
        found.create_sheet(name).append(["left out"])
    return saved(found)


HEADER = ["id", "text", "price", "sold", "at", "note"]


def test_rows_with_their_types(tmp_path, caplog):
    moment = datetime(2024, 1, 2, 3, 4)
    raw = book(
        HEADER, ["a", "Tea", 1.5, True, moment, None], [None] * 6, [7, "Coffee", 2, False, time(9, 30), "é"], more=["b"]
    )
    with caplog.at_level(logging.WARNING, "embedkit"):
        first, second = rows_of(tmp_path, "a.xlsx", raw)
    assert (first.id, first.text) == ("a", "Tea")
    assert first.metadata == {"price": 1.5, "sold": True, "at": moment}
    assert (second.id, second.line) == ("7", 4)
    assert second.metadata == {"price": 2, "sold": False, "at": "09:30:00", "note": "é"}
    assert "only the sheet 'rows' is read, not 'b'" in caplog.text


def test_rows_that_are_bad_and_columns_that_lack(tmp_path):
    found = rows_of(
        tmp_path, "a.xlsx", book(HEADER[:2], ["a", "Tea"], [None, "no id"], ["b", "x", "too many"], ["c", "Good"])
    )
    assert [isinstance(row, BadRow) for row in found] == [False, True, True, False]
    assert "2 columns, this row 3" in found[2].reason
    with pytest.raises(InputError, match="text"):
        rows_of(tmp_path, "a.xlsx", book(["id", "body"], ["a", "Tea"]))
    assert rows_of(tmp_path, "a.xlsx", book()) == []


def test_a_row_far_below_and_a_range_of_all_cells_cost_no_time(tmp_path):
    raw = book(HEADER[:2], ["a", "Tea"])

    def change(name, part):
        if not name.endswith("sheet2.xml"):
            return part
        return part.replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1:XFD1048576"').replace(
            b'<row r="2"', b'<row r="999999999"'
        )

    found = rows_of(tmp_path, "a.xlsx", repacked(raw, change))
    assert len(found) == 1
    assert "more than 1,048,576 rows" in found[0].reason


def test_rows_of_one_cell_far_to_the_right_are_counted_with_the_empty_ones_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "_MOST_CELLS", 40_000)
    rows = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (n, n) for n in range(3, 9))

    def change(name, part):
        return part.replace(b"</sheetData>", rows + b"</sheetData>") if name.endswith("sheet2.xml") else part

    raw = repacked(book(HEADER[:2], ["a", "Tea"]), change)
    good, *_, bad = rows_of(tmp_path, "a.xlsx", raw)
    assert good.text == "Tea"
    assert "40,000 cells, empty ones too" in bad.reason


def test_broken_files(tmp_path):
    assert_broken_files_are_bad_rows(tmp_path, "a.xlsx", book(HEADER, ["a", "Tea", 1.5, True, None, None]))


def test_columns_without_a_name_are_called_by_their_place(tmp_path):
    (row,) = rows_of(tmp_path, "a.xlsx", book([None, "id", None, "text"], [5, "a", "x", "Tea"]))
    assert (row.id, row.metadata) == ("a", {"column 1": 5, "column 3": "x"})
