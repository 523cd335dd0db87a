"""The files that an export writes, and the versions it was made with."""

from __future__ import annotations

import functools
import io
import platform
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

import embedkit
from embedkit.stores.plugin_kit.naming import safe_name

_EXTERNAL_FROM = 1 << 30
"""Bytes of weights from which they go into a file of their own: one protobuf message ends at 2 GiB."""


def file_name(owner: str, variant: str) -> str:
    """The name of the graph of a role, which may have any name, in a variant."""
    return f"model.{variant}.onnx" if owner == "default" else f"model.{safe_name(owner)}.{variant}.onnx"


def save(graph: ir.Model, folder: Path, name: str) -> tuple[str, list[str]]:
    """Write a graph; its name, and those of its files of weights where it is too large for one message."""
    size = sum(value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value is not None)
    if size < _EXTERNAL_FROM:
        ir.save(graph, folder / name)
        return name, []
    ir.save(graph, folder / name, external_data=f"{name}.data")
    return name, [f"{name}.data"]


def read_from(graph: ir.Model, folder: Path, name: str) -> None:
    """Let a graph that `save` wrote hold those of its weights no longer that lie in a file of their own: whoever needs one maps it
    from there, as long as the file is there."""
    for key, saved in ir.load(folder / name).graph.initializers.items():
        value, tensor = graph.graph.initializers.get(key), saved.const_value
        held = value.const_value if value is not None else None
        if value is None or held is None or not isinstance(tensor, ir.ExternalTensor) or not tensor.size:
            continue
        if (tensor.dtype, tensor.shape) != (held.dtype, held.shape):
            raise ValueError(f"{name}: {key} is {tensor.dtype} {tensor.shape}, expected {held.dtype} {held.shape}")
        place = functools.partial(
            _mapped, folder / tensor.location, tensor.offset or 0, held.dtype, tuple(tensor.shape.numpy())
        )
        value.const_value = ir.LazyTensor(place, held.dtype, ir.Shape(tensor.shape), name=key)


def _mapped(path: Path, offset: int, dtype: ir.DataType, shape: tuple[int, ...]) -> ir.Tensor[Any]:
    return ir.Tensor(np.memmap(path, dtype.numpy(), "r", offset, shape), dtype)


def write_npz(path: Path, arrays: dict[str, Any]) -> None:
    """As `numpy.savez`, and the same bytes at any time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue())


def tools() -> dict[str, str]:
    """The versions that an export was made with."""
    found = {"python": platform.python_version(), "embedkit": embedkit.__version__}
    for name in (
        "torch",
        "transformers",
        "sentence-transformers",
        "onnx",
        "onnx-ir",
        "onnxscript",
        "onnxruntime",
        "tokenizers",
    ):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
