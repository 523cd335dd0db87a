"""Which external files an ONNX file refers to, read from the protobuf bytes without the onnx package."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from embedkit.errors import BundleError

Buffer: TypeAlias = "mmap.mmap | bytes"

# The messages of onnx.proto on the way to a tensor: message -> {field number: message}.
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}


def external_files(path: Path) -> set[str]:
    """The values of every ``location`` in the file's external data, wherever its tensors stand; `BundleError` where
    it is no protobuf."""
    if path.stat().st_size == 0:
        raise BundleError(f"{path.name}: expected an ONNX model, found an empty file; export the bundle again")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return set(_locations(data, 0, len(data), "Model"))
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise BundleError(f"{path.name}: not a readable ONNX model ({error}); export the bundle again") from None


def _locations(data: Buffer, start: int, end: int, message: str) -> Iterator[str]:
    if message == "Entry":
        pair = {number: data[a:b] for number, a, b in _fields(data, start, end)}
        if pair.get(1) == b"location":
            yield pair.get(2, b"").decode()
        return
    children = _CHILDREN[message]
    for number, a, b in _fields(data, start, end):
        if number in children:
            yield from _locations(data, a, b, children[number])


def _fields(data: Buffer, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start, end) of each length-delimited field; others are stepped over."""
    while position < end:
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            _, position = _varint(data, position)
        elif kind == 1:
            position += 8
        elif kind == 5:
            position += 4
        elif kind == 2:
            length, position = _varint(data, position)
            if position + length > end:
                raise ValueError("a field runs past its end")
            yield key >> 3, position, position + length
            position += length
        else:
            raise ValueError(f"unknown wire type {kind}")


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
