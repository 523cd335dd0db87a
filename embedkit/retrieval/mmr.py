"""Hits that differ from each other: maximal marginal relevance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def diverse(scores: npt.NDArray[Any], near: npt.NDArray[Any], diversity: float, count: int) -> list[int]:
    """The order of ``count`` of n rows by maximal marginal relevance: ``scores`` (n,) to the query, ``near`` (n, n) to
    each other. Of equal rows the first is taken."""
    chosen: list[int] = []
    free = np.ones(len(scores), dtype=bool)
    nearest_chosen = np.full(len(scores), -np.inf)
    while len(chosen) < min(count, len(scores)):
        marginal = (1.0 - diversity) * scores - (diversity * nearest_chosen if chosen else 0.0)
        best = int(np.argmax(np.where(free, marginal, -np.inf)))
        chosen.append(best)
        free[best] = False
        nearest_chosen = np.maximum(nearest_chosen, near[:, best])
    return chosen
