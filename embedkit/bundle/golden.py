"""The golden texts' vectors, by role and output, as arrays of one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

from .manifest import Output


def golden_key(role: str, output: str) -> str:
    """What the golden file calls a role's values of an output; their parts follow after a dot."""
    return f"vectors.{role}" if output == "dense" else f"{output}.{role}"


def golden_arrays(values: Values, key: str) -> dict[str, npt.NDArray[Any]]:
    """Values as the arrays of the golden file."""
    if isinstance(values, SparseVectors):
        return {f"{key}.offsets": values.offsets, f"{key}.indices": values.indices, f"{key}.values": values.values}
    if isinstance(values, MultiVectors):
        return {f"{key}.offsets": values.offsets, f"{key}.values": values.values}
    return {key: values}


def golden_values(output: Output, key: str, data: Mapping[str, npt.NDArray[Any]]) -> Values | None:
    """The inverse of `golden_arrays`; None where the file has none."""
    if output.kind in ("dense", "logits"):
        return data.get(key)
    if f"{key}.offsets" not in data:
        return None
    offsets, values = data[f"{key}.offsets"], data[f"{key}.values"]
    if output.kind == "sparse":
        return SparseVectors(offsets, data[f"{key}.indices"], values, output.dim)
    return MultiVectors(offsets, values)
