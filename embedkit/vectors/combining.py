"""Several vectors as one: of captions of one picture, of texts around one label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from embedkit.checks import one_of
from embedkit.errors import InputError

from .arrays import FloatArray, unit_length

How = Literal["mean", "sum", "max"]


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


def _shares(weights: Sequence[float], count: int) -> npt.NDArray[np.float64]:
    found = np.asarray(list(weights), dtype=np.float64)
    if found.shape != (count,) or not np.isfinite(found).all() or found.min(initial=0) < 0 or not found.sum():
        raise InputError(
            f"combine: weights: expected {count} numbers from 0 on, of which one is above 0, found {weights!r:.80}"
        )
    return found
