"""The fields of a protobuf message, one after another, without its schema; what is large is stepped over."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

from embedkit.errors import BundleError

Buffer: TypeAlias = "mmap.mmap | bytes"
Read = TypeVar("Read")


def read_model(path: Path, read: Callable[[Buffer], Read]) -> Read:
    """What ``read`` makes of a file's bytes; `BundleError` where they are no ONNX model."""
    try:
        if path.stat().st_size == 0:
            raise BundleError(f"{path.name}: expected an ONNX model, found an empty file; export the bundle again")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return read(data)
    except (ValueError, IndexError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path.name}: not a readable ONNX model ({error}); export the bundle again") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error}); copy or export the bundle again") from error


def parts(data: Buffer, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start, end) of each length-delimited field; others are stepped over."""
    return ((number, start, stop) for number, kind, start, stop in _fields(data, position, end) if kind == 2)


def integers(data: Buffer, position: int, end: int) -> Iterator[tuple[int, int]]:
    """(field number, value) of each field that is one unsigned integer of variable length."""
    return ((number, value) for number, kind, value, _ in _fields(data, position, end) if kind == 0)


def _fields(data: Buffer, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, start, end) of each field; of an integer its value is in the place of the start."""
    while position < end:
        key, position = _varint(data, position)
        kind = key & 7
        start = position
        if kind == 0:
            start, position = _varint(data, position)
        elif kind == 1:
            position += 8
        elif kind == 5:
            position += 4
        elif kind == 2:
            length, start = _varint(data, position)
            position = start + length
        else:
            raise ValueError(f"unknown wire type {kind}")
        if position > end:
            raise ValueError("a field runs past its end")
        yield key >> 3, kind, start, position


def _varint(data: Buffer, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
