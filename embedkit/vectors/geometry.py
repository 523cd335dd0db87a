"""How a set of vectors lies in space, and the one that stands for all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.checks import one_of
from embedkit.errors import InputError

from .arrays import FloatArray, unit_length
from .ragged import numbers

MOST = 10_000
"""Vectors whose pairs `uniformity` looks at; of more, so many are drawn with a fixed seed."""

How: TypeAlias = Literal["mean", "sum", "max"]
Vectors64: TypeAlias = npt.NDArray[np.float64]

BLOCK = 1_024
"""Rows of a block of scores."""


def isotropy(vectors: npt.ArrayLike) -> float:
    """1 minus the mean cosine of all pairs of different rows of ``vectors`` (n, dim), such as a text's token vectors: what
    is left of 1 by the anisotropy of Ethayarajh (2019, *How Contextual are Contextualized Word Representations?*; Su et al.
    2022, contrastive search). 0 where all have one direction, 1 where they have none in common, a little over 1 where few
    vectors are spread evenly; higher is better. NaN for fewer than two.

    A row of zeros has the cosine 0 with every other. Raises `InputError` for another shape, another kind of vectors, NaN or
    infinity.
    """
    given = checked(vectors)
    if len(given) < 2:
        return float("nan")
    # Of unit vectors the cosines of all pairs are the square of their sum, without each one's with itself. Scaled first,
    # so that no square is too large or too small for a number.
    largest = np.abs(given).max(axis=1, keepdims=True, initial=0.0)
    scaled = given / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    units = scaled / np.where(lengths > 0, lengths, 1.0)
    total = units.sum(axis=0)
    pairs = float(total @ total) - float((units * units).sum())
    return 1.0 - pairs / (len(units) * (len(units) - 1))


def alignment(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """The mean squared distance of n pairs that belong together, (n, dim) each: the alignment of Wang and Isola (2020,
    *Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere*, with
    alpha = 2). 0 to 4, and lower is better; NaN without pairs."""
    found = squared_distances(a, b)
    return float(found.mean()) if len(found) else float("nan")


def squared_distances(a: npt.ArrayLike, b: npt.ArrayLike) -> Vectors64:
    """(n,) squared distances of the rows of ``a`` and ``b`` (n, dim), each scaled to unit length."""
    x, y = directions(a), directions(b)
    if x.shape != y.shape:
        raise InputError(f"vectors: expected two arrays of one shape, found {x.shape} and {y.shape}")
    return np.asarray(np.square(x - y).sum(axis=1))


def uniformity(vectors: npt.ArrayLike) -> float:
    """The logarithm of the mean of exp(-2 d^2) over all pairs of n vectors (n, dim), d the distance of the two at unit
    length: the uniformity of Wang and Isola (2020, with t = 2). 0 where all are equal, and lower is better; NaN for
    fewer than two."""
    found = directions(vectors)
    if len(found) > MOST:
        found = found[np.sort(np.random.default_rng(0).choice(len(found), MOST, replace=False))]
    n = len(found)
    if n < 2:
        return float("nan")
    total = 0.0
    for rows in blocks(n):
        # Of unit vectors d^2 is 2 - 2 cos; rounding may not carry it below 0. A vector is no pair with itself.
        squares = np.maximum(2.0 - 2.0 * (found[rows] @ found.T), 0.0)
        likeness = np.exp(-2.0 * squares)
        likeness[np.arange(len(squares)), np.arange(rows.start, rows.stop)] = 0.0
        total += float(likeness.sum())
    return float(np.log(total / (n * (n - 1))))


def directions(vectors: npt.ArrayLike) -> Vectors64:
    """(n, dim) float64 of unit length; errors are those of `checked`."""
    return unit(checked(vectors))


def checked(vectors: npt.ArrayLike) -> Vectors64:
    """(n, dim) float64; `InputError` for another kind of vectors, another shape, NaN or infinity."""
    if not isinstance(vectors, np.ndarray | list | tuple):
        raise InputError(f"vectors: expected dense ones, an array of shape (n, dim), found {type(vectors).__name__}")
    found = numbers(vectors, np.float64, "vectors")
    if found.ndim != 2 or not np.isfinite(found).all():
        raise InputError(f"vectors: expected finite numbers of shape (n, dim), found {found.shape}, or NaN or infinity")
    return found


def unit(vectors: npt.NDArray[Any]) -> Vectors64:
    """(n, dim) float64 of unit length; a zero vector stays zero."""
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that together are n rows."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def combine(
    vectors: npt.ArrayLike,
    how: How = "mean",
    *,
    normalize: bool = False,
    first: bool = False,
    weights: Sequence[float] | None = None,
) -> FloatArray:
    """(dim,) float32 of (n, dim) vectors: their ``mean`` (in which each counts as its ``weights`` say), ``sum``, or the ``max`` of
    each number. ``normalize`` brings the result to unit length; ``first`` each vector before that, without which a longer vector
    counts for more. (..., n, dim) gives (..., dim). Raises `InputError`."""
    one_of("combine: how", how, ("mean", "sum", "max"))
    try:
        given = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"combine: expected an array of numbers ({error})") from None
    if given.ndim < 2 or not given.shape[-2] or not np.isfinite(given).all():
        raise InputError(
            f"combine: expected finite vectors (n, dim), at least one, found the shape {given.shape}, or NaN"
        )
    if first:
        given = unit_length(given.reshape(-1, given.shape[-1])).reshape(given.shape)
    if how == "max":
        out = given.max(axis=-2)
    else:
        shares = np.ones(given.shape[-2]) if weights is None else _shares(weights, given.shape[-2])
        wide = (given.astype(np.float64) * shares[:, None]).sum(axis=-2)
        out = (wide / shares.sum() if how == "mean" else wide).astype(np.float32)
    whole = out.reshape(-1, out.shape[-1])
    return np.asarray(unit_length(whole).reshape(out.shape) if normalize else out, dtype=np.float32)


def _shares(weights: Sequence[float], count: int) -> npt.NDArray[np.float64]:
    found = np.asarray(list(weights), dtype=np.float64)
    if found.shape != (count,) or not np.isfinite(found).all() or found.min(initial=0) < 0 or not found.sum():
        raise InputError(
            f"combine: weights: expected {count} numbers from 0 on, of which one is above 0, found {weights!r:.80}"
        )
    return found
