"""Tables as text: CSV and TSV with a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from embedkit.errors import InputError
from embedkit.ingestion.readers import lines as pieces
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import BadRow, Row

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_SHOWN = 2_000
_KEPT = 1 << 20
"""Characters of a bad row that are kept to be repaired."""


def read_table(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of a table in UTF-8 whose first row names the columns; every cell is text.

    Cells may be quoted and then hold line ends. A row with more or fewer cells than columns, or with quotes that do not
    match, is a bad row. Raises `InputError` where columns are missing or doubled.
    """
    tape = _Tape(file)
    rows = _records(tape, _DELIMITERS[source.format])
    columns = _header(next(rows, None), source, fields)
    header = tape.taken()
    for cells in rows:
        line, raw = tape.first, tape.taken()
        found = _values(cells, columns)
        if isinstance(found, str):
            yield _bad(found, line, header, raw, source)
        elif found:
            yield source.row(found, line, fields)


def _header(cells: list[str] | csv.Error | None, source: Source, fields: Fields) -> list[str]:
    if cells is None:
        return []
    try:
        if isinstance(cells, csv.Error):
            raise InputError(f"{source.name}: the header cannot be read: {_explained(cells)}")
        columns = [_text(cell) for cell in cells]
    except UnicodeDecodeError as error:
        raise InputError(f"{source.name}: the header is {pieces.not_utf8(error)}; save the file as UTF-8") from None
    fields.check_columns(columns, source.name)
    return columns


def _values(cells: list[str] | csv.Error, columns: list[str]) -> dict[str, str] | str:
    """The row by column, or why there is none; nothing for a blank line."""
    if isinstance(cells, csv.Error):
        return _explained(cells)
    if cells and len(cells) != len(columns):
        return f"the header has {len(columns)} columns, this row {len(cells)}"
    try:
        return {name: _text(cell) for name, cell in zip(columns, cells, strict=False)}
    except UnicodeDecodeError as error:
        return pieces.not_utf8(error)


def _bad(reason: str, line: int, header: str, raw: str, source: Source) -> BadRow:
    """A bad row that holds the header too, so that it is a table."""
    whole = header.rstrip("\r\n") + "\n" + raw.rstrip("\r\n")
    if len(raw) >= _KEPT:
        return BadRow(source.name, line, reason, whole[:_SHOWN].encode("utf-8", "replace").decode())
    shown = whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return BadRow(source.name, line, reason, shown, None, source.format)


def table_row(raw: str, line: int, source: Source, fields: Fields) -> Row:
    """The row of a header and one row below it."""
    try:
        rows = list(read_table(io.BytesIO(raw.encode("utf-8", "surrogatepass")), source, fields))
        if len(rows) == 1:
            return rows[0]
        reason = f"expected a header and one row, found {len(rows)} rows"
    except InputError as error:
        reason = str(error)
    return BadRow(source.name, line, reason, raw, None, source.format)


class _Tape:
    """Lines for the csv module, which keeps those of the row in hand."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = pieces.lines(file)
        self._taken: list[str] = []
        self._length = 0
        self.first = 1

    def __iter__(self) -> _Tape:
        return self

    def __next__(self) -> str:
        number, raw = next(self._lines)
        if not self._taken:
            self.first = number
        if isinstance(raw, pieces.TooLong):
            self._keep(pieces.shown(raw.beginning))
            raise csv.Error(str(raw))
        text = raw.decode("utf-8", "surrogateescape")
        self._keep(text)
        return text

    def taken(self) -> str:
        """The lines since the last call, of which `_KEPT` characters or a few more are kept."""
        text = "".join(self._taken)
        self._taken.clear()
        self._length = 0
        return text

    def _keep(self, text: str) -> None:
        if self._length < _KEPT:
            self._taken.append(text[:_KEPT])
            self._length += len(text)


def _records(tape: _Tape, delimiter: str) -> Iterator[list[str] | csv.Error]:
    # The limit is the process's: it is raised, so that cells are read which others expect to be read too.
    csv.field_size_limit(max(csv.field_size_limit(), pieces.MAX_BYTES // 4))
    reader = csv.reader(tape, delimiter=delimiter, strict=True)
    while True:
        try:
            yield from reader
        except csv.Error as error:  # noqa: PERF203
            yield error
        else:
            return


def _text(cell: str) -> str:
    """The cell; raises `UnicodeDecodeError` where its bytes are not UTF-8."""
    return cell if cell.isascii() else cell.encode("utf-8", "surrogateescape").decode("utf-8")


def _explained(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "a quote that is opened here is not closed until the file ends"
    if "field larger" in str(error):
        return (
            f"a cell is longer than {csv.field_size_limit():,} characters; is a quote that is opened here not closed?"
        )
    return f"broken quoting or line ends: {error}"
