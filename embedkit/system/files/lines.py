"""Bounded pieces of a file: its lines, or the whole of it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

MAX_BYTES = 64 << 20
"""Bytes of the longest line, cell or text file that is read; a longer one is a bad row."""

NOT_UTF_8 = "not valid UTF-8"
"""How the reason begins where bytes are none."""

_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 20
_RETURN = re.compile(rb"\r(?!\r*\n)")
"""A carriage return by itself; several before a line feed are one line end that was written twice."""
_FIRST_LINE = 1 << 16
"""Bytes that are looked at for the end of a first line."""


class Unreadable(Exception):
    """A piece of a file is not what it should be; the message says why."""


class NotText(Unreadable):
    """Its bytes are not UTF-8."""


class TooLong(Exception):
    """A piece is longer than `MAX_BYTES`; ``beginning`` holds its first bytes."""

    def __init__(self, what: str, beginning: bytes) -> None:
        self.beginning = beginning
        super().__init__(f"the {what} is longer than {MAX_BYTES:,} bytes")


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes | TooLong]]:
    """The lines with their numbers from 1, ends included; a BOM is left out, and what is too long is skipped."""
    end: bytes | tuple[bytes, ...] = (b"\n", b"\r") if isinstance(file, _Returns) else b"\n"
    for number, raw in enumerate(iter(lambda: file.readline(MAX_BYTES + 1), b""), start=1):
        if len(raw) > MAX_BYTES:
            _skip_line(file, raw, end)
            yield number, TooLong("line", raw[:2_000])
        else:
            yield number, raw.removeprefix(_BOM) if number == 1 else raw


def with_returns(file: BinaryIO) -> BinaryIO:
    """The file, for `lines`. Where its first line ends in a carriage return by itself outside of quotes, as old programs of the Mac
    wrote tables, every one of them ends a line; in any other file none does."""
    head = file.readline(_FIRST_LINE)
    again = io.BufferedReader(_Again(head, file), _BLOCK)
    alone = any(_RETURN.search(unquoted) for unquoted in head.split(b'"')[::2])
    return cast(BinaryIO, _Returns(again) if alone else again)


def whole(file: BinaryIO, *, keep_bom: bool = False) -> bytes:
    """The file, without its BOM unless that is to be kept; raises `TooLong`."""
    raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise TooLong("file", raw[:2_000])
    return raw if keep_bom else raw.removeprefix(_BOM)


def count_lines(path: str) -> int:
    """How many lines end in a file."""
    with open(path, "rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(_BLOCK), b""))


def shown(raw: bytes) -> str:
    """Bytes as text, with an escape for each that is not UTF-8."""
    return raw.decode("utf-8", "backslashreplace")


def decoded(raw: bytes) -> str:
    """The text; `NotText` where it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotText(not_utf8(error)) from None


def not_utf8(error: UnicodeDecodeError) -> str:
    """Where bytes are not UTF-8."""
    return f"{NOT_UTF_8}: byte 0x{error.object[error.start]:02x} at {error.start}"


def _skip_line(file: BinaryIO, raw: bytes, end: bytes | tuple[bytes, ...]) -> None:
    while raw and not raw.endswith(end):
        raw = file.readline(_BLOCK)


class _Again(io.RawIOBase):
    """A file of which ``head`` was read already, from its beginning; to close it leaves the file open."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; 0 at the end."""
        piece = self._head[: len(buffer)] or self._file.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


class _Returns:
    """The lines of a file that end in a carriage return, a line feed or both."""

    def __init__(self, file: Any) -> None:
        self._text = io.TextIOWrapper(file, "latin-1", newline="")  # of which each character is a byte

    def readline(self, most: int) -> bytes:
        """The next line, or as many bytes of it; nothing at the end."""
        return self._text.readline(most).encode("latin-1")
