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


def _shares(weights: Sequence[float], count: int) -> npt.NDArray[np.float64]:
    found = np.asarray(list(weights), dtype=np.float64)
    if found.shape != (count,) or not np.isfinite(found).all() or found.min(initial=0) < 0 or not found.sum():
        raise InputError(
            f"combine: weights: expected {count} numbers from 0 on, of which one is above 0, found {weights!r:.80}"
        )
    return found
