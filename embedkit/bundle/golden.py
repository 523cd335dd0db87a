"""The arrays of a bundle: golden items and their vectors, by role and output, and the vectors of a table.

Golden texts stand for the items of all roles that read texts (or ids). Of any other role the file keeps what its items were
prepared to, the arrays ``input.SOURCE.ROLE`` with a row an item, and a few source files, ``file.N.ROLE`` (bytes), each with
the arrays ``file.N.SOURCE.ROLE`` that it is prepared to: so that preparing and computing are checked apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.errors import BundleError, InputError
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

from .manifest import Output

Inputs: TypeAlias = dict[str, npt.NDArray[Any]]
"""What items are prepared to, by the source that a graph's `Input` names."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden items and what torch makes of them: ``values`` by role and output. ``texts`` are the items of every role that has
    no ``inputs``; ``files`` are source files with what they are prepared to."""

    texts: list[str]
    values: dict[str, dict[str, Values]]
    inputs: dict[str, Inputs]
    files: dict[str, list[tuple[bytes, Inputs]]]

    def rows(self, role: str) -> int:
        """How many items a role has."""
        given = self.inputs.get(role)
        return len(next(iter(given.values()))) if given else len(self.texts)


def media_arrays(role: str, inputs: Inputs, files: Sequence[tuple[bytes, Inputs]]) -> dict[str, npt.NDArray[Any]]:
    """The prepared items and the source files of a role as the arrays of the golden file."""
    arrays = {f"input.{source}.{role}": array for source, array in inputs.items()}
    for number, (data, expected) in enumerate(files):
        arrays[f"file.{number}.{role}"] = np.frombuffer(data, dtype=np.uint8)
        arrays |= {f"file.{number}.{source}.{role}": array for source, array in expected.items()}
    return arrays


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
    if output.kind in ("dense", "logits", "map"):
        return data.get(key)
    if f"{key}.offsets" not in data:
        return None
    offsets, values = data[f"{key}.offsets"], data[f"{key}.values"]
    if output.kind == "sparse":
        return SparseVectors(offsets, data[f"{key}.indices"], values, output.dim)
    return MultiVectors(offsets, values)


def read_golden(path: Path, outputs: Mapping[str, Mapping[str, Output]], owners: Mapping[str, str]) -> Golden:
    """What is in ``path`` for the ``outputs`` by role. ``owners`` names for each role the one whose prepared items and files it has,
    where they have any. A role has values of at least one output. Raises `BundleError` where they are not those of these outputs, a row
    an item."""
    where = f"{path}: golden"
    data = _arrays(path, where)
    given_inputs = {role: _inputs(data, owners.get(role, role), where) for role in outputs}
    inputs = {role: arrays for role, arrays in given_inputs.items() if arrays}
    needed = any(role not in inputs for role in outputs)
    texts = [str(text) for text in _strings(data, "texts", where)] if needed or "texts" in data else []
    if needed and not texts:
        raise BundleError(f"{where}: texts: expected at least one text; export the bundle again")
    files = {role: _files(data, owners.get(role, role)) for role in inputs}
    golden = Golden(texts, {}, inputs, files)
    for role, given in outputs.items():
        found = golden.values.setdefault(role, {})
        rows = golden.rows(role)
        for name, output in given.items():
            key = golden_key(role, name)
            try:
                values = golden_values(output, key, data)
                if values is not None:
                    found[name] = _fitting(values, output, rows)
                elif any(other in data for other in (key, f"{key}.offsets")):
                    raise InputError("they are of another kind")
            except (InputError, KeyError) as error:
                what = "items" if role in inputs else "texts"
                raise BundleError(
                    f"{where}: {key}: expected values of the {output.kind} output {name!r} of the role {role!r} for each of "
                    f"{rows} {what} ({error}); export the bundle again"
                ) from None
        if not found:
            wanted = " or ".join(f"{name!r} ({output.kind})" for name, output in given.items())
            raise BundleError(
                f"{where}: expected values of the output {wanted} of the role {role!r}, found {', '.join(data)}; export the "
                "bundle again"
            )
    return golden


def _inputs(data: Mapping[str, npt.NDArray[Any]], role: str, where: str) -> Inputs:
    """What the items of a role were prepared to, arrays of one length; empty where texts stand for them."""
    found: Inputs = {}
    for name, array in data.items():
        kind, _, rest = name.partition(".")
        source, _, owner = rest.partition(".")
        if kind == "input" and owner == role:
            found[source] = array
    lengths = {len(array) if array.ndim else 0 for array in found.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise BundleError(
            f"{where}: expected at least one prepared item of the role {role!r} in each of {', '.join(found)}; export the bundle again"
        )
    return found


def _files(data: Mapping[str, npt.NDArray[Any]], role: str) -> list[tuple[bytes, Inputs]]:
    files: list[tuple[bytes, Inputs]] = []
    while (name := f"file.{len(files)}.{role}") in data:
        front, end = f"file.{len(files)}.", f".{role}"
        expected = {
            key.removeprefix(front).removesuffix(end): array
            for key, array in data.items()
            if key.startswith(front) and key.endswith(end) and key != name
        }
        files.append((data[name].tobytes(), expected))
    return files


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
        shape = (rows, *(output.grid or ()), output.dim)
        if values.shape != shape or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise InputError(f"finite numbers of the shape {shape}, found {values.shape} of {values.dtype}")
    elif len(values) != rows or values.dim != output.dim:
        raise InputError(f"{rows} rows of {output.dim} numbers, found {len(values)} of {values.dim}")
    return values
