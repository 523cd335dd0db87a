"""The files that an export writes, and the versions it was made with."""

from __future__ import annotations

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
