"""A row of values as bytes, and back: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedkit.bundle.manifest import Output
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values


def to_bytes(row: Any) -> bytes:
    """A row: of dense vectors and logits its numbers, of sparse ones indices and values, of several vectors all of them."""
    if isinstance(row, tuple):
        return np.asarray(row[0], "<i4").tobytes() + np.asarray(row[1], "<f4").tobytes()
    return np.ascontiguousarray(row, "<f4").tobytes()


def from_bytes(rows: list[bytes], output: Output) -> Values | None:
    """The values of rows; None where one is not of the output's kind and size, as of a file that was damaged."""
    if output.kind == "sparse":
        if any(len(row) % 8 for row in rows):
            return None
        indices = [np.frombuffer(row[: len(row) // 2], "<i4") for row in rows]
        values = [np.frombuffer(row[len(row) // 2 :], "<f4") for row in rows]
        offsets = np.concatenate([[0], np.cumsum([len(row) // 8 for row in rows])]).astype(np.int64)
        return SparseVectors(
            offsets, np.concatenate(indices).astype(np.int32), np.concatenate(values).astype(np.float32), output.dim
        )
    if any(len(row) % (4 * output.dim) for row in rows):
        return None
    arrays = [np.frombuffer(row, "<f4").astype(np.float32).reshape(-1, output.dim) for row in rows]
    if output.kind in ("multivector", "tokens"):
        return MultiVectors.of(arrays)
    return np.concatenate(arrays) if all(len(array) == 1 for array in arrays) else None
