"""What an ONNX file takes and gives, compared with what a manifest says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedkit.bundle.manifest import Input, Output
from embedkit.errors import BundleError

from .protobuf import Buffer, integers, parts, read_model

_NAMES = ("float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64")
_TYPES = dict(enumerate(_NAMES, start=1))
"""By their numbers in onnx.proto's TensorProto.DataType."""
_AXES = {"ids": 2, "mask": 2, "pool_mask": 2, "types": 2, "length": 1, "choice": 1, "pixels": 4}
"""The axes of what fills an input, of the sources that embedkit itself has."""
_OUTPUT_AXES = {"dense": 2, "sparse": 2, "logits": 2, "multivector": 3, "tokens": 3, "map": 4}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph: its numbers' type, and its axes, of which those without a fixed size are 0; None where
    the file does not say."""

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Interface:
    """The inputs that have to be given, and the outputs."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def read_interface(path: Path) -> Interface:
    """What the ONNX file in ``path`` takes and gives; `BundleError` where it is none."""
    return read_model(path, _interface)


def check_interface(
    file: str, found: Interface, where: str, inputs: Sequence[Input], outputs: Mapping[str, Output]
) -> None:
    """`BundleError` where the ONNX ``file``, of which this was ``found``, does not take ``inputs``, or does not give
    ``outputs``. ``where`` is the place of both in the manifest."""
    for number, entry in enumerate(inputs):
        place = f"{where}.inputs.{number}"
        tensor = found.inputs.get(entry.name)
        if tensor is None:
            known = ", ".join(found.inputs) or "none"
            raise BundleError(f"{place}.name: expected an input of {file} ({known}), found {entry.name!r}")
        if tensor.dtype != entry.dtype:
            raise BundleError(f"{place}.dtype: expected {tensor.dtype} as in {file}, found {entry.dtype}")
        axes = _AXES.get(entry.source)
        if axes is not None and tensor.shape is not None and len(tensor.shape) != axes:
            raise BundleError(
                f"{place}.source: expected what has {len(tensor.shape)} axes as {entry.name!r} in {file}, found "
                f"{entry.source!r}, which has {axes}"
            )
    left = found.inputs.keys() - {entry.name for entry in inputs}
    if left:
        raise BundleError(f"{where}.inputs: expected all that {file} takes, found none that fills {min(left)!r}")
    for name, output in outputs.items():
        _check_output(file, f"{where}.outputs.{name}", output, found.outputs.get(name), found)


def _check_output(file: str, place: str, output: Output, tensor: Tensor | None, found: Interface) -> None:
    if tensor is None:
        known = ", ".join(found.outputs) or "none"
        raise BundleError(f"{place}: expected an output of {file} ({known}), found no tensor of this name")
    if tensor.dtype != "float32":
        raise BundleError(f"{place}: expected numbers in float32, found {tensor.dtype} in {file}")
    if tensor.shape is None:
        return
    axes = _OUTPUT_AXES[output.kind]
    if len(tensor.shape) != axes:
        raise BundleError(
            f"{place}.kind: expected one of a tensor with {len(tensor.shape)} axes as in {file}, found "
            f"{output.kind!r}, which has {axes}"
        )
    if tensor.shape[-1] not in (0, output.dim):
        raise BundleError(f"{place}.dim: expected {tensor.shape[-1]} as in {file}, found {output.dim}")


def _interface(data: Buffer) -> Interface:
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    constant: set[str] = set()
    for start, end in _of(data, 0, len(data), 7):
        for number, a, b in parts(data, start, end):
            if number == 5:
                constant |= {data[x:y].decode() for x, y in _of(data, a, b, 8)}
            elif number in (11, 12):
                name = next((data[x:y].decode() for x, y in _of(data, a, b, 1)), "")
                (inputs if number == 11 else outputs)[name] = _tensor(data, a, b)
    return Interface({name: tensor for name, tensor in inputs.items() if name not in constant}, outputs)


def _tensor(data: Buffer, start: int, end: int) -> Tensor:
    """Of a ValueInfoProto: its type (2) is a tensor's (1), with a type of numbers (1) and a shape (2) of axes (1), whose size
    is a number (1)."""
    code, shape = 0, None
    for type_start, type_end in _of(data, start, end, 2):
        for a, b in _of(data, type_start, type_end, 1):
            code = next((value for number, value in integers(data, a, b) if number == 1), code)
            for x, y in _of(data, a, b, 2):
                axes = list(_of(data, x, y, 1))
                shape = tuple(next((size for n, size in integers(data, *axis) if n == 1), 0) for axis in axes)
    return Tensor(_TYPES.get(code, f"type {code}"), shape)


def _of(data: Buffer, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    return ((a, b) for number, a, b in parts(data, start, end) if number == wanted)
