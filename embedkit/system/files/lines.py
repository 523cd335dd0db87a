"""Bounded pieces of a file: its lines, or the whole of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

MAX_BYTES = 64 << 20
"""Bytes of the longest line, cell or text file that is read; a longer one is a bad row."""

NOT_UTF_8 = "not valid UTF-8"
"""How the reason begins where bytes are none."""

_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 20


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
    for number, raw in enumerate(iter(lambda: file.readline(MAX_BYTES + 1), b""), start=1):
        if len(raw) > MAX_BYTES:
            _skip_line(file, raw)
            yield number, TooLong("line", raw[:2_000])
        else:
            yield number, raw.removeprefix(_BOM) if number == 1 else raw


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


def _skip_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(_BLOCK)
