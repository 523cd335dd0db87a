"""What a graph's outputs become, whatever their kind: arrays, sparse vectors, several vectors a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .arrays import FloatArray
from .multivector import MultiVectors
from .sparse import SparseVectors

Kind: TypeAlias = Literal["dense", "sparse", "multivector", "tokens", "map", "logits"]

Values: TypeAlias = FloatArray | SparseVectors | MultiVectors
"""(n, dim) float32 of dense vectors and logits, (n, height, width, dim) of maps, `SparseVectors`, or `MultiVectors` of
multi-vectors and tokens; one row a text."""


def concatenate(parts: Sequence[Values]) -> Values:
    """The rows of several values of one kind, at least one."""
    first: Any = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts) if len(parts) > 1 else first  # type: ignore[arg-type]
    made: Values = type(first).concatenate(parts)
    return made


def scatter(parts: Sequence[tuple[npt.NDArray[np.intp], Values]], count: int) -> Values:
    """``count`` rows of which each part holds those with its numbers; together they hold each once."""
    first = parts[0][1]
    if isinstance(first, np.ndarray):
        out = np.empty((count, *first.shape[1:]), dtype=first.dtype)
        for rows, values in parts:
            out[rows] = values
        return out
    order = np.empty(count, dtype=np.intp)
    order[np.concatenate([rows for rows, _ in parts])] = np.arange(count)
    whole: Any = concatenate([values for _, values in parts])
    made: Values = whole[order]
    return made


def equal(a: Values, b: Values) -> bool:
    """Whether two values are the same, byte for byte."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, SparseVectors):
        return isinstance(b, SparseVectors) and a == b and a.values.tobytes() == b.values.tobytes()
    return isinstance(b, MultiVectors) and a == b and a.values.tobytes() == b.values.tobytes()


def largest_difference(found: Values, expected: Values) -> float:
    """The largest absolute difference of two numbers, each row with its reference; infinite where a text has another
    number of vectors."""
    if isinstance(found, SparseVectors) and isinstance(expected, SparseVectors):
        found, expected = _with_same_indices(found, expected)
    elif isinstance(found, MultiVectors) and isinstance(expected, MultiVectors):
        if not np.array_equal(found.offsets, expected.offsets):
            return float("inf")
        found, expected = found.values, expected.values
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max(initial=0.0))


def scale(values: Values) -> float:
    """The largest absolute number."""
    return float(np.abs(values if isinstance(values, np.ndarray) else values.values).max(initial=0.0))


def nearness(found: Values, expected: Values, kind: Kind = "dense") -> npt.NDArray[np.float64]:
    """(n,) how near each row is to its reference, at most 1: the cosine of dense and sparse vectors, the mean cosine of a
    text's vectors or of a map's (0 where their number is another), and 1 minus the largest difference of logits, relative to the
    largest logit of the row where that is above 1."""
    if isinstance(found, SparseVectors) and isinstance(expected, SparseVectors):
        products = _row_sums(found, expected)
        lengths = np.sqrt(_row_sums(found, found) * _row_sums(expected, expected))
        both_empty = (np.diff(found.offsets) == 0) & (np.diff(expected.offsets) == 0)
        return np.where(both_empty, 1.0, products / np.maximum(lengths, 1e-12))
    if isinstance(found, MultiVectors) and isinstance(expected, MultiVectors):
        out = np.zeros(len(found))
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            if a.shape == b.shape:
                out[i] = cosine(a, b).mean() if len(a) else 1.0
        return out
    a, b = np.asarray(found), np.asarray(expected)
    if kind == "map":
        each = cosine(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))
        return np.asarray(each.reshape(len(a), -1).mean(axis=1))
    if kind == "logits":
        return np.asarray(1.0 - np.abs(a - b).max(axis=1) / np.maximum(np.abs(b).max(axis=1), 1.0))
    return cosine(a, b)


def cosine(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(n,) cosine of each row of ``a`` with the same row of ``b``."""
    x, y = (v.astype(np.float64) for v in (a, b))
    lengths = np.maximum(np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1), 1e-24)
    return np.asarray(np.einsum("ij,ij->i", x, y) / lengths)


def _with_same_indices(a: SparseVectors, b: SparseVectors) -> tuple[FloatArray, FloatArray]:
    """The numbers of two at all places where either has one."""
    keys = [np.repeat(np.arange(len(x), dtype=np.int64), np.diff(x.offsets)) * x.dim + x.indices for x in (a, b)]
    whole = np.union1d(*keys)
    out = np.zeros((2, len(whole)), dtype=np.float32)
    for row, places, vectors in zip(out, keys, (a, b), strict=True):
        row[np.searchsorted(whole, places)] = vectors.values
    return out[0], out[1]


def _row_sums(a: SparseVectors, b: SparseVectors) -> npt.NDArray[np.float64]:
    return np.array(
        [
            float(x[np.isin(i, j, assume_unique=True)].astype(np.float64) @ y[np.isin(j, i, assume_unique=True)])
            for (i, x), (j, y) in zip(a, b, strict=True)
        ]
    )
