"""Which external files an ONNX file refers to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .protobuf import Buffer, parts, read_model

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
    return read_model(path, lambda data: set(_locations(data, 0, len(data), "Model")))


def _locations(data: Buffer, start: int, end: int, message: str) -> Iterator[str]:
    if message == "Entry":
        pair = {number: data[a:b] for number, a, b in parts(data, start, end)}
        if pair.get(1) == b"location":
            yield pair.get(2, b"").decode()
        return
    children = _CHILDREN[message]
    for number, a, b in parts(data, start, end):
        if number in children:
            yield from _locations(data, a, b, children[number])
