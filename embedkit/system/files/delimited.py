"""Tables as text: rows of cells between commas or tabs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Literal

from . import lines as pieces
from .lines import NotText, TooLong, Unreadable, lines, not_utf8, shown, with_returns

SUFFIXES = {"csv": (".csv",), "tsv": (".tsv", ".tab")}
DELIMITERS = {"csv": ",", "tsv": "\t"}

RAW_KEPT = 1 << 20
"""Characters of a row's raw text that are kept."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table as it stands in its file, from the line ``line`` on; ``raw`` is its text, up to about `RAW_KEPT`
    characters, with lone surrogates for bytes that are no UTF-8. A blank line is a row without cells."""

    line: int
    raw: str
    found: list[str] | Unreadable

    def cells(self) -> list[str]:
        """The cells; raises `Unreadable` where quotes do not match, a line or cell is too long, or bytes are no UTF-8."""
        if isinstance(self.found, Unreadable):
            raise self.found
        return [_text(cell) for cell in self.found]


def table_rows(file: BinaryIO, delimiter: str, *, quoted: bool = True) -> Iterator[TableRow]:
    """The rows of a table, its header too. Where they are ``quoted``, a cell in quotes may hold delimiters and line ends;
    else a quote is a character like others. A row that cannot be read costs no other.

    Tables between tabs are published with and without quoting. Of a quoted one, a line below the header is read as it stands where its
    quotes do not match and it has as many cells as the header without them, or where it and all lines that its quotes join have.
    """
    # The limit is the process's: it is raised, so that cells are read which others expect to be read too.
    csv.field_size_limit(max(csv.field_size_limit(), pieces.MAX_BYTES // 4))
    tape = _Tape(with_returns(file))
    rows = _rows(tape, delimiter, quoted=quoted)
    if not quoted or delimiter != "\t":
        yield from rows
        return
    columns = 0
    for row in rows:
        if columns and (first := tape.as_it_stands(row, columns)):
            yield first
        else:
            tape.forget()
            yield row
        if not columns and not isinstance(row.found, Unreadable):
            columns = len(row.found)
            tape.keeps = columns > 1


def _rows(tape: _Tape, delimiter: str, *, quoted: bool) -> Iterator[TableRow]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(tape, delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        try:
            for cells in reader:
                yield TableRow(tape.first, tape.taken(), cells)
        except csv.Error as error:
            yield TableRow(tape.first, tape.taken(), Unreadable(_explained(error)))
        else:
            return


class _Tape:
    """Lines for the csv module, which keeps those of the row in hand; whole ones where it ``keeps`` them, as long as they are not too
    many, so that they can be read again."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines: Iterator[tuple[int, bytes | TooLong]] = lines(file)
        self._taken: list[str] = []
        self._length = 0
        self._kept: list[tuple[int, bytes]] = []
        self._size = 0
        self.first = 1
        self.keeps = False

    def __iter__(self) -> _Tape:
        return self

    def __next__(self) -> str:
        number, raw = next(self._lines)
        if not self._taken:
            self.first = number
        if isinstance(raw, TooLong):
            self._size = pieces.MAX_BYTES
            self._keep(shown(raw.beginning))
            raise csv.Error(str(raw))
        if self.keeps and self._size < pieces.MAX_BYTES:
            self._size += len(raw)
            self._kept.append((number, raw))
        text = raw.decode("utf-8", "surrogateescape")
        self._keep(text)
        return text

    def taken(self) -> str:
        """The lines since the last call, of which `RAW_KEPT` characters or a few more are kept."""
        text = "".join(self._taken)
        self._taken.clear()
        self._length = 0
        return text

    def forget(self) -> None:
        """The lines that are kept are not read again."""
        self._kept.clear()
        self._size = 0

    def as_it_stands(self, row: TableRow, columns: int) -> TableRow | None:
        """The first line of a row between tabs, without quoting, where it has so many cells, and the row's quotes do not match or join
        lines that all have so many; what is behind it is then read again."""
        wrong = isinstance(row.found, Unreadable)
        if not self._kept or self._size >= pieces.MAX_BYTES or (not wrong and len(self._kept) == 1):
            return None
        if any(raw.count(b"\t") != columns - 1 for _, raw in (self._kept[:1] if wrong else self._kept)):
            return None
        (number, raw), *rest = self._kept
        text = raw.decode("utf-8", "surrogateescape")
        try:
            cells = next(csv.reader([text], delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))
        except csv.Error:
            return None
        self.forget()
        self._lines = chain(rest, self._lines)
        return TableRow(number, text, cells)

    def _keep(self, text: str) -> None:
        if self._length < RAW_KEPT:
            self._taken.append(text[:RAW_KEPT])
            self._length += len(text)


def _text(cell: str) -> str:
    if cell.isascii():
        return cell
    try:
        return cell.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotText(not_utf8(error)) from None


def _explained(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "a quote that is opened here is not closed until the file ends"
    if "field larger" in str(error):
        return (
            f"a cell is longer than {csv.field_size_limit():,} characters; is a quote that is opened here not closed?"
        )
    if "the line is longer" in str(error):
        return str(error)
    return f"broken quoting or line ends: {error}"
