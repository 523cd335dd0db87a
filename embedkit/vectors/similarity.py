"""How near vectors are to each other; a higher score is nearer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.checks import one_of
from embedkit.errors import InputError

from .arrays import FloatArray, unit_length
from .quantization import Precision, Ranges, check_precision, octets, restored

_EXACT_COLUMNS = 256
"""Products of two 8-bit numbers are below 2^16, so this many sum exactly in float32."""


def similarity(a: npt.ArrayLike, b: npt.ArrayLike, *, fn: str = "cosine") -> FloatArray:
    """(n, m) float32: the score of each row of ``a`` (n, width) with each of ``b`` (m, width); one vector counts as one
    row.

    ``cosine`` and ``dot`` take float vectors, or 8-bit ones, whose products are summed exactly. ``euclidean`` gives minus
    the distance. ``hamming`` takes packed bits (``binary`` or ``ubinary``) and gives minus the number of bits that differ.
    """
    left, right = _rows(a), _rows(b)
    one_of("similarity: fn", fn, ("cosine", "dot", "euclidean", "hamming"))
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise InputError(f"similarity: expected two arrays of one dimension, found {left.shape} and {right.shape}")
    if fn == "hamming":
        return _hamming(left, right)
    if fn == "euclidean":
        return _euclidean(left.astype(np.float64), right.astype(np.float64))
    if left.dtype.kind in "iu" and right.dtype.kind in "iu" and max(left.itemsize, right.itemsize) == 1:
        scores = _integer_dot(left, right)
        if fn == "cosine":
            scores /= np.maximum(_lengths(left)[:, None] * _lengths(right)[None, :], 1e-12)
        return scores.astype(np.float32)
    left, right = left.astype(np.float32, copy=False), right.astype(np.float32, copy=False)
    if fn == "cosine":
        left, right = unit_length(left), unit_length(right)
    return np.asarray(left @ right.T, dtype=np.float32)


def rescore(
    queries: npt.ArrayLike,
    candidates: npt.ArrayLike,
    *,
    precision: Precision,
    ranges: Ranges | npt.ArrayLike | None = None,
) -> FloatArray:
    """Score stored vectors by float queries, which tell apart what two rounded vectors do not: the second step of a
    search that fetches several times as many candidates by their stored bytes (Yamada et al. 2021).

    ``queries`` is (n, dim) float, or (dim,). ``candidates`` in ``precision`` is (n, m, width), m for each query, or
    (m, width), the same for all; ``ranges`` are those that int8 and uint8 were made with. The result is (n, m) float32,
    or (m,) for one query: dot products with the vectors that the candidates stand for, where a bit stands for +1 or -1.
    """
    check_precision(precision)
    asked, stored = np.asarray(queries), np.asarray(candidates)
    if asked.dtype.kind != "f" or asked.ndim not in (1, 2):
        raise InputError(f"rescore: expected float queries (n, dim) or (dim,), found {asked.dtype} {asked.shape}")
    left = np.atleast_2d(asked).astype(np.float32, copy=False)
    if stored.ndim not in (2, 3) or (stored.ndim == 3 and len(stored) != len(left)):
        raise InputError(
            f"rescore: expected candidates of shape (m, width), or ({len(left)}, m, width), found {stored.shape}"
        )
    known = None if ranges is None else Ranges.of(ranges)
    right = restored(stored, left.shape[1], precision, known)
    scores = left @ right.T if right.ndim == 2 else np.matmul(right, left[:, :, None])[:, :, 0]
    return np.asarray(scores[0] if asked.ndim == 1 else scores, dtype=np.float32)


def _rows(given: npt.ArrayLike) -> npt.NDArray[Any]:
    """Numbers as rows."""
    try:
        found = np.atleast_2d(np.asarray(given))
    except (ValueError, TypeError) as error:
        raise InputError(f"similarity: expected an array of numbers ({error})") from None
    if found.dtype.kind not in "biuf":
        raise InputError(f"similarity: expected numbers, found an array of {found.dtype}")
    return found


def _euclidean(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> FloatArray:
    squares = (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1)[None, :] - 2.0 * (left @ right.T)
    return np.asarray(-np.sqrt(np.maximum(squares, 0.0)), dtype=np.float32)


def _hamming(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> FloatArray:
    a, b = octets(left), np.ascontiguousarray(octets(right))
    out = np.empty((len(a), len(b)), dtype=np.float32)
    for i, row in enumerate(a):
        out[i] = _ones(row ^ b).sum(axis=1, dtype=np.int32)
    return np.negative(out, out=out)


if hasattr(np, "bitwise_count"):

    def _ones(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        # Eight bytes at a time where the rows allow it.
        wide = values.view(np.uint64) if values.shape[1] and values.shape[1] % 8 == 0 else values
        return np.asarray(np.bitwise_count(wide))

else:
    _COUNTS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)

    def _ones(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.asarray(_COUNTS[values])


def _integer_dot(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Exact dot products of 8-bit rows: float32 products of so few columns that no sum is rounded."""
    total = np.zeros((len(left), len(right)))
    for start in range(0, left.shape[1], _EXACT_COLUMNS):
        columns = slice(start, start + _EXACT_COLUMNS)
        total += left[:, columns].astype(np.float32) @ right[:, columns].astype(np.float32).T
    return total


def _lengths(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.int64)))


def powered(p: npt.ArrayLike, q: npt.ArrayLike, weight: float) -> FloatArray:
    """p^(1 - weight) * q^weight of two arrays of probabilities of one shape, float32: how a detector and the model that it was made
    from decide together (DITO, Kim et al. 2024). Raises `InputError`."""
    if not 0.0 <= weight <= 1.0:
        raise InputError(f"powered: weight: expected a number from 0 to 1, found {weight!r}")
    return power_mean([p, q], [1.0 - weight, weight])


def power_mean(probabilities: Sequence[npt.ArrayLike], weights: Sequence[float]) -> FloatArray:
    """The product of arrays of one shape, each number to the power of its array's share of the ``weights``; computed in float64.
    Raises `InputError` where one is no probability."""
    try:
        given = [np.asarray(one, dtype=np.float64) for one in probabilities]
    except (TypeError, ValueError) as error:
        raise InputError(f"powered: expected arrays of probabilities ({error})") from None
    if any(one.shape != given[0].shape for one in given):
        raise InputError(
            f"powered: expected arrays of one shape, found {' and '.join(str(one.shape) for one in given)}"
        )
    if not all(((one >= 0) & (one <= 1)).all() for one in given):
        raise InputError(
            "powered: expected probabilities from 0 to 1; make them of scores with a softmax or sigmoid first"
        )
    shares = np.asarray(weights, dtype=np.float64) / sum(weights)
    whole = np.prod([one**share for one, share in zip(given, shares, strict=True)], axis=0)
    return np.asarray(whole, dtype=np.float32)


def score_maps(maps: npt.ArrayLike, vectors: npt.ArrayLike) -> FloatArray:
    """(n, height, width, k) float32: the dot product of each place of (n, height, width, dim) maps with each of (k, dim) vectors,
    such as those of classes (DenseCLIP, Rao et al. 2022). Raises `InputError`."""
    places, given = np.asarray(maps, dtype=np.float32), np.asarray(vectors, dtype=np.float32)
    if places.ndim != 4 or given.ndim != 2 or places.shape[3] != given.shape[1]:
        raise InputError(
            f"score_maps: expected (n, height, width, dim) maps and (k, dim) vectors, found {places.shape} and {given.shape}"
        )
    return np.asarray(np.einsum("nhwd,kd->nhwk", places, given), dtype=np.float32)
