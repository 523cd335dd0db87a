"""From files to documents: JSON lines, and plain text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, TypeAlias

from ..errors import InputError
from .rows import BadRow, SourcedDocument

Row: TypeAlias = SourcedDocument | BadRow

MAX_BYTES = 64 << 20
"""Bytes of the longest line, or text file, that is read; a longer one is a bad row."""

_JSONL = (".jsonl", ".ndjson", ".json-lines")
_BOM = b"\xef\xbb\xbf"
_SHOWN = 2_000


class FileRows:
    """The rows of files, in order; can be iterated again unless one is standard input.

    A file named ``.jsonl``, ``.ndjson`` or ``.json-lines`` holds one JSON object a line: ``id_field`` and
    ``text_field`` name its id (text or an integer) and text, the rest is metadata. ``-`` is standard input in the same
    form. Any other file is one document of UTF-8 text whose id is its path as given. A row that cannot be read is a
    `BadRow`.

    Raises `InputError` at once, naming every file that cannot be read.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], *, id_field: str = "id", text_field: str = "text"
    ) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.id_field, self.text_field = id_field, text_field
        problems = [problem for path in self.paths if (problem := _problem(path))]
        if self.paths.count("-") > 1:
            problems.append("-: standard input can be read once only")
        if problems:
            raise InputError("cannot read " + "; ".join(problems))

    def __iter__(self) -> Iterator[Row]:
        for path in self.paths:
            if path == "-" or path.lower().endswith(_JSONL):
                yield from self._json_lines(path)
            else:
                yield _text_file(path)

    def __length_hint__(self) -> int:
        """The number of rows, at most: lines are counted, blank ones too. 0 where standard input makes it unknown."""
        if not all(Path(path).is_file() for path in self.paths):
            return 0
        return sum(_lines(path) if path.lower().endswith(_JSONL) else 1 for path in self.paths)

    def _json_lines(self, path: str) -> Iterator[Row]:
        source = "standard input" if path == "-" else path
        try:
            with _opened(path) as file:
                for number, raw in enumerate(iter(lambda: file.readline(MAX_BYTES + 1), b""), start=1):
                    content = raw.removeprefix(_BOM) if number == 1 else raw
                    if len(raw) > MAX_BYTES:
                        _skip_line(file, raw)
                        yield BadRow(
                            source, number, f"the line is longer than {MAX_BYTES:,} bytes", _shown(raw[:_SHOWN])
                        )
                    elif content.strip():
                        yield self._document(source, number, content.rstrip(b"\r\n"))
        except OSError as error:
            raise InputError(f"{source}: reading failed: {error}") from error

    def _document(self, source: str, number: int, raw: bytes) -> Row:
        row = _shown(raw)
        try:
            value = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            return BadRow(source, number, _not_utf8(error), row)
        except (ValueError, RecursionError) as error:
            return BadRow(source, number, f"broken JSON: {error}", row)
        if not isinstance(value, dict):
            return BadRow(source, number, f"expected a JSON object, found {_kind(value)}", row)
        row_id, text = value.pop(self.id_field, None), value.pop(self.text_field, None)
        if isinstance(row_id, int) and not isinstance(row_id, bool):
            row_id = str(row_id)
        known = row_id if isinstance(row_id, str) else None
        for name, found in ((self.id_field, row_id), (self.text_field, text)):
            if not isinstance(found, str):
                what = "is missing or null" if found is None else f"is {_kind(found)}, expected text"
                return BadRow(source, number, f"the field {name!r} {what}", row, known)
        return SourcedDocument(row_id, text, value, source=source, line=number, row=row)


def _text_file(path: str) -> Row:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        return BadRow(path, 1, f"cannot be read: {error.strerror}", path, path)
    if len(raw) > MAX_BYTES:
        return BadRow(path, 1, f"the file is longer than {MAX_BYTES:,} bytes", path, path)
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        return BadRow(path, 1, _not_utf8(error), path, path)
    return SourcedDocument(path, text, {"path": path}, source=path, line=1, row=path)


def _problem(path: str) -> str:
    if path == "-":
        return ""
    if os.path.isdir(path):
        return f"{path}: it is a folder; name the files in it"
    try:
        if os.path.isfile(path):
            open(path, "rb").close()
        else:
            os.stat(path)
    except (OSError, ValueError) as error:
        return f"{path}: {getattr(error, 'strerror', None) or error}"
    return ""


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb")


def _skip_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(1 << 20)


def _lines(path: str) -> int:
    with open(path, "rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not valid UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "a bool", int: "a number", float: "a number", str: "text", list: "a list"}.get(
        type(value), "an object"
    )
