"""Confidence intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from embedkit.evaluation.tasks.task import Measured

Samples = Mapping[str, npt.NDArray[np.float64]]
"""Measure -> (resamples,) its value on each."""


def resampled(measured: Measured, *, resamples: int, seed: int, progress: bool = False) -> Samples:
    """The measures on ``resamples`` draws, with replacement, of as many units as there are (Efron and Tibshirani 1993).
    The same seed draws the same units for every encoder, so that what is measured stays paired."""
    from tqdm import tqdm

    rng = np.random.default_rng(seed)
    values: dict[str, list[float]] = {}
    for _ in tqdm(range(resamples), unit="resample", disable=not progress):
        for name, value in measured.statistic(rng.integers(0, measured.units, measured.units)).items():
            values.setdefault(name, []).append(value)
    return {name: np.array(found, dtype=np.float64) for name, found in values.items()}


def interval(values: npt.NDArray[np.float64], confidence: float) -> tuple[float, float] | None:
    """The percentile interval. Resamples on which a measure is undefined (one label only, say) are left out; None where
    that is more than half of them."""
    usable = values[np.isfinite(values)]
    if not len(usable) or len(usable) < len(values) / 2:
        return None
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(usable, [tail, 100.0 - tail])
    return float(low), float(high)
