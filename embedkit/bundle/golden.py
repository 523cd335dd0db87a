"""The arrays of a bundle: the golden texts' vectors, by role and output, and the vectors of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.errors import BundleError, InputError
from embedkit.vectors.arrays import FloatArray
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


def read_golden(
    path: Path, outputs: Mapping[str, Mapping[str, Output]]
) -> tuple[list[str], dict[str, dict[str, Values]]]:
    """The golden texts in ``path`` and each role's values, by the name of the output, of the ``outputs`` by role. A role has
    values of at least one output. Raises `BundleError` where they are not those of these outputs, a row a text."""
    where = f"{path}: golden"
    data = _arrays(path, where)
    texts = [str(text) for text in _strings(data, "texts", where)]
    if not texts:
        raise BundleError(f"{where}: texts: expected at least one text; export the bundle again")
    found: dict[str, dict[str, Values]] = {}
    for role, given in outputs.items():
        for name, output in given.items():
            key = golden_key(role, name)
            try:
                values = golden_values(output, key, data)
                if values is not None:
                    found.setdefault(role, {})[name] = _fitting(values, output, len(texts))
                elif any(other in data for other in (key, f"{key}.offsets")):
                    raise InputError("they are of another kind")
            except (InputError, KeyError) as error:
                raise BundleError(
                    f"{where}: {key}: expected values of the {output.kind} output {name!r} of the role {role!r} for each of "
                    f"{len(texts)} texts ({error}); export the bundle again"
                ) from None
        if role not in found:
            wanted = " or ".join(f"{name!r} ({output.kind})" for name, output in given.items())
            raise BundleError(
                f"{where}: expected values of the output {wanted} of the role {role!r}, found {', '.join(data)}; export the "
                "bundle again"
            )
    return texts, found


def read_vectors(path: Path, name: str, dim: int) -> tuple[list[str], FloatArray]:
    """The ids and the (n, ``dim``) finite float32 vectors of the table ``name`` in ``path``; `BundleError` where there are none."""
    where = f"{path}: tables.{name}"
    data = _arrays(path, where)
    ids = [str(row) for row in _strings(data, "ids", where)]
    vectors = data.get("vectors", np.empty(0))
    if vectors.shape != (len(ids), dim) or vectors.dtype.kind not in "fiu":
        raise BundleError(
            f"{where}: expected numbers of the shape {(len(ids), dim)}, a vector for each of {len(ids)} ids, found the shape "
            f"{vectors.shape} of {vectors.dtype}; export the bundle again"
        )
    with np.errstate(over="ignore"):
        numbers = np.asarray(vectors, dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise BundleError(f"{where}: vectors: found NaN or infinity; export the bundle again")
    return ids, numbers


def _arrays(path: Path, where: str) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an .npz file; nothing of it is run."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return dict(data)
    except Exception as error:  # numpy, zipfile and zlib each raise their own
        raise BundleError(f"{where}: expected arrays in an .npz file ({error}); export the bundle again") from error


def _strings(data: Mapping[str, npt.NDArray[Any]], name: str, where: str) -> npt.NDArray[Any]:
    found = data.get(name, np.empty(0))
    if found.ndim != 1 or found.dtype.kind != "U":
        raise BundleError(f"{where}: {name}: expected strings in one dimension, found {found.shape} of {found.dtype}")
    return found


def _fitting(values: Values, output: Output, rows: int) -> Values:
    """``values`` if they can be those of an output: rows, size, finite numbers; else `InputError`."""
    if isinstance(values, np.ndarray):
        if values.shape != (rows, output.dim) or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise InputError(
                f"finite numbers of the shape {(rows, output.dim)}, found {values.shape} of {values.dtype}"
            )
    elif len(values) != rows or values.dim != output.dim:
        raise InputError(f"{rows} rows of {output.dim} numbers, found {len(values)} of {values.dim}")
    return values
