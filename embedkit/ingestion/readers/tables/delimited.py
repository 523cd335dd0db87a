"""Tables as text: CSV and TSV with a header."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from embedkit.errors import InputError
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields, named_columns
from embedkit.ingestion.rows.row import BadRow, Row
from embedkit.system.files.delimited import DELIMITERS, RAW_KEPT, TableRow, table_rows
from embedkit.system.files.lines import NotText, Unreadable

_SHOWN = 2_000


def read_table(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of a table in UTF-8 whose first row that is not blank names the columns (one without a name is
    ``column 2``, by its place); every cell is text.

    Cells may be quoted and then hold line ends. A row with more or fewer cells than columns, or with quotes that do not
    match, is a bad row. Raises `InputError` where columns are missing or doubled.
    """
    rows = table_rows(file, source.delimiter or DELIMITERS[source.format])
    header = next((row for row in rows if row.found != []), None)
    if header is None:
        return
    columns = _columns(header, source, fields)
    for row in rows:
        try:
            cells = row.cells()
        except Unreadable as error:
            reason = source.not_text(error) if isinstance(error, NotText) else str(error)
            yield _bad(reason, row, header.raw, source)
            continue
        if cells and len(cells) != len(columns):
            reason = f"the header has {len(columns)} columns, this row {len(cells)}"
            yield _bad(reason, row, header.raw, source)
        elif cells:
            yield source.row(dict(zip(columns, cells, strict=True)), row.line, fields)


def _columns(header: TableRow, source: Source, fields: Fields) -> list[str]:
    try:
        columns = named_columns(header.cells())
    except Unreadable as error:
        raise InputError(
            f"{source.name}: the header cannot be read: {source.not_text(error)}, or save the file as a table in UTF-8"
        ) from None
    fields.check_columns(columns, source.name)
    return columns


def _bad(reason: str, row: TableRow, header: str, source: Source) -> BadRow:
    """A bad row that holds the header too, so that it is a table."""
    whole = header.rstrip("\r\n") + "\n" + row.raw.rstrip("\r\n")
    if len(row.raw) >= RAW_KEPT:
        return BadRow(source.name, row.line, reason, whole[:_SHOWN].encode("utf-8", "replace").decode())
    shown = whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return BadRow(source.name, row.line, reason, shown, None, _as_text(source).form)


def table_row(raw: str, line: int, source: Source, fields: Fields) -> Row:
    """The row of a header and one row below it."""
    source = _as_text(source)
    try:
        rows = list(read_table(io.BytesIO(raw.encode("utf-8", "surrogatepass")), source, fields))
        if len(rows) == 1:
            return rows[0]
        reason = f"expected a header and one row, found {len(rows)} rows"
    except InputError as error:
        reason = str(error)
    return BadRow(source.name, line, reason, raw, None, source.form)


def _as_text(source: Source) -> Source:
    """The source of rows that were decoded already."""
    return replace(source, encoding="")
