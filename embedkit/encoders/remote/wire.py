"""What a server answers to texts, made values: base64 of float32, lists of numbers, sparse vectors, several vectors a text."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Output
from embedkit.errors import RemoteError
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values


def embeddings_of(reply: Any, count: int, where: str) -> list[Any]:
    """The embedding of each of ``count`` inputs in their order, as the server wrote it; `RemoteError` for anything else."""
    data = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(data, list) or len(data) != count or not all(isinstance(row, dict) for row in data):
        found = f"{len(data)} rows" if isinstance(data, list) else f"{str(reply)[:100]!r}"
        raise RemoteError(f"{where}: expected {count} embeddings in the field data, found {found}")
    order = {row.get("index", i): row.get("embedding") for i, row in enumerate(data)}
    if order.keys() != set(range(count)):
        raise RemoteError(
            f"{where}: expected each index from 0 to {count - 1} once, found {sorted(order, key=str)[:10]}"
        )
    return [order[i] for i in range(count)]


def dense(rows: list[Any], where: str) -> FloatArray:
    """(n, dim) float32 of rows in base64 or lists."""
    vectors = [_vector(row, where) for row in rows]
    sizes = {len(vector) for vector in vectors}
    if len(sizes) > 1 or 0 in sizes:
        raise RemoteError(f"{where}: expected vectors of one size, found {sorted(sizes)} numbers")
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)


def values_of(rows: list[Any], output: Output, where: str) -> Values:
    """The values of an output; `RemoteError` where the rows are none of it."""
    if output.kind == "dense":
        found = dense(rows, where)
        if found.shape[1:] != (output.dim,):
            raise RemoteError(
                f"{where}: expected vectors of {output.dim} numbers, as before, found {found.shape[1]}; its model was changed: load the "
                "encoder again"
            )
        return found
    try:
        return _sparse(rows, output.dim) if output.kind == "sparse" else _several(rows, output.dim)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise RemoteError(f"{where}: expected {output.kind} vectors of {output.dim} dimensions ({error})") from error


def _vector(row: Any, where: str) -> FloatArray:
    try:
        if isinstance(row, str):
            return np.frombuffer(base64.b64decode(row, validate=True), "<f4").astype(np.float32, copy=False)
        if None in row:
            raise ValueError("null is no number")
        found = np.asarray(row, dtype=np.float32)
    except (TypeError, ValueError, binascii.Error) as error:
        raise RemoteError(f"{where}: expected a vector as base64 or a list of numbers ({error})") from error
    if found.ndim != 1:
        raise RemoteError(
            f"{where}: expected one vector a text, found an array of the shape {found.shape}; name a model that gives one"
        )
    return found


def _sparse(rows: list[Any], dim: int) -> SparseVectors:
    indices: list[npt.NDArray[np.int32]] = []
    values: list[FloatArray] = []
    for row in rows:
        places = np.asarray(row["indices"], dtype=np.int32)
        numbers = np.asarray(row["values"], dtype=np.float32)
        if places.ndim != 1 or places.shape != numbers.shape:
            raise ValueError("as many indices as values")
        order = np.argsort(places, kind="stable")
        indices.append(places[order])
        values.append(numbers[order])
    offsets = np.concatenate([[0], np.cumsum([len(places) for places in indices])]).astype(np.int64)
    none: list[Any] = [np.empty(0)]
    return SparseVectors(
        offsets,
        np.concatenate(indices or none).astype(np.int32),
        np.concatenate(values or none).astype(np.float32),
        dim,
    )


def _several(rows: list[Any], dim: int) -> MultiVectors:
    return MultiVectors.of([np.asarray(row, dtype=np.float32).reshape(-1, dim) for row in rows])
