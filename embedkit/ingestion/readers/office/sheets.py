"""Excel: a sheet is a table whose first row names the columns."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import time, timedelta
from typing import Any, BinaryIO

from embedkit.errors import EmbedkitError, InputError
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields, NoDocument, named_columns
from embedkit.ingestion.rows.row import BadRow, Row, shown_as_json
from embedkit.records.coercion import converted
from embedkit.system.extras import needed
from embedkit.system.files.lines import TooLong, Unreadable, whole

from .package import broken, clean, package

_log = logging.getLogger("embedkit")
_MOST_ROWS = 1 << 20
"""Rows of a sheet in Excel; a file may name a later one, and the library would count up to it."""
_MOST_CELLS = 1 << 26
"""Cells of a sheet: a row of one cell far to the right has thousands of empty ones before it, which the library makes."""


def read_xlsx(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of the first sheet that has any, values as Excel computed them last; empty cells are left out, and a row of empty cells
    is none. Sheets beside it are told by a warning of the logger ``embedkit``. What is broken, or unpacks to too much, is a bad
    row. Raises `MissingExtraError` without openpyxl, and `InputError` where columns are missing or doubled."""
    needed("openpyxl", "reading Excel files", extra="office")
    line = 0
    try:
        for row in _rows(whole(file, keep_bom=True), source, fields):
            line = row.line
            yield row
    except EmbedkitError:
        raise
    except (TooLong, Unreadable) as error:
        yield source.bad(str(error), line + 1)
    except Exception as error:  # of a broken file the library raises anything
        yield source.bad(broken(source, error), line + 1)


def _rows(raw: bytes, source: Source, fields: Fields) -> Iterator[Row]:
    import openpyxl

    book = openpyxl.load_workbook(package(raw), read_only=True, data_only=True)
    sheets = list(book.worksheets)
    for number, sheet in enumerate(sheets):
        rows = _filled(sheet)
        header = next(rows, None)
        if header is None:
            continue
        names = ["" if cell is None else str(cell).strip() for cell in header[1]]
        while names and not names[-1]:
            names.pop()
        names = named_columns(names)
        fields.check_columns(names, source.name)
        if more := [other.title for other in sheets[number + 1 :] if next(_filled(other), None)]:
            _log.warning("%s: only the sheet %r is read, not %s", source.name, sheet.title, ", ".join(map(repr, more)))
        for line, cells in rows:
            yield _row(names, cells, line, source, fields)
        return


def _filled(sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """The rows that are not empty, with their numbers."""
    sheet.reset_dimensions()  # those that the file names may be of any size
    count = 0
    for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        count += len(cells)
        if line > _MOST_ROWS or count > _MOST_CELLS:
            raise Unreadable(f"the sheet has more than {_MOST_ROWS:,} rows, or {_MOST_CELLS:,} cells, empty ones too")
        if any(cell is not None for cell in cells):
            yield line, cells


def _row(names: list[str], cells: Sequence[Any], line: int, source: Source, fields: Fields) -> Row:
    value = {name: _value(cell) for name, cell in zip(names, cells, strict=False) if cell is not None}
    if any(cell is not None for cell in cells[len(names) :]):
        reason = f"the header has {len(names)} columns, this row {len(cells)}"
        return BadRow(source.name, line, reason, shown_as_json(value))
    try:
        return source.row(converted(fields.readable(value), "coerce"), line, fields)
    except NoDocument as bad:
        return BadRow(source.name, line, bad.reason, shown_as_json(value), bad.id)
    except InputError as error:
        return BadRow(source.name, line, str(error), shown_as_json(value), fields.id_of(value))


def _value(cell: Any) -> Any:
    """A cell as metadata keeps it; hours alone and lengths of time are text."""
    if isinstance(cell, str):
        return clean(cell)
    return str(cell) if isinstance(cell, time | timedelta) else cell
