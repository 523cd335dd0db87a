"""How the rows that a product reads become unsigned 8-bit numbers: smoothing, zero point and the step of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .calibrate import Floats, Statistics
from .rounding import nearest

SYMMETRIC = 128
LEAST_STEP = 1e-10
"""A row of zeros has no step of its own."""
ALPHAS = (0.5, 0.6, 0.7, 0.8)
"""The smoothing exponents that are tried."""
LOWEST = {"Gelu": 0.17, "BiasGelu": 0.17, "FastGelu": 0.17, "Relu": 0.0}
"""Operators whose output is bounded from below, by minus this."""
ZERO_POINTS = (16, 20, 24, 32)
"""The zero points that are tried for such an output."""
_JUDGED_ROWS = 256


@dataclass(frozen=True)
class Reading:
    """A row x of k numbers is read as ``zero + round(x / factors / step)``, with a step of its own.

    The step is max|x / factors| / 127 around zero point 128. Where nothing is below -``lowest``, the zero point is
    small and the step is max(x) / (255 - zero), or what reaches -``lowest`` if that is more.
    """

    factors: Floats | None = None
    zero: int = SYMMETRIC
    lowest: float | None = None

    @property
    def least(self) -> float:
        """The smallest step that a row can have."""
        return max(self.lowest / self.zero, LEAST_STEP) if self.lowest and self.zero else LEAST_STEP

    @property
    def top(self) -> int:
        """The steps above the zero point."""
        return 127 if self.lowest is None else 255 - self.zero

    def steps(self, rows: Floats) -> Floats:
        """(m, k) -> (m, 1) float32 the step of each row."""
        rows = self.smoothed(rows)
        peak = (np.abs(rows) if self.lowest is None else rows).max(axis=1, keepdims=True)
        out: Floats = np.maximum(peak / self.top, self.least).astype(np.float32)
        return out

    def smoothed(self, rows: Floats) -> Floats:
        """(m, k) -> (m, k) divided by the factors."""
        return rows if self.factors is None else (rows / self.factors).astype(np.float32)

    def __call__(self, rows: Floats) -> Floats:
        """(m, k) -> (m, k) float32 the smoothed rows as the product reads them."""
        steps = self.steps(rows)
        numbers = np.clip(np.rint(self.smoothed(rows) / steps), -self.zero, 255 - self.zero)
        out: Floats = (numbers * steps).astype(np.float32)
        return out


def choose_reading(statistics: Statistics | None, weights: Sequence[Floats], made_by: str | None) -> Reading:
    """The reading with the least error in the products' outputs on the calibration rows.

    ``weights`` are the (k, n) weights that share the input, ``made_by`` the operator that makes it. An input that is
    bounded from below is not smoothed: that would move the bound differently in each channel.
    """
    lowest = LOWEST.get(made_by or "")
    if lowest == 0:
        return Reading(zero=0, lowest=lowest)
    if statistics is None:
        return Reading() if lowest is None else Reading(zero=ZERO_POINTS[0], lowest=lowest)
    if lowest is not None:
        candidates = [Reading(zero=zero, lowest=lowest) for zero in ZERO_POINTS]
    else:
        candidates = [Reading(smoothing(statistics.peak, weights, alpha)) for alpha in ALPHAS]
    return min(candidates, key=_error_on(statistics.sample, weights))


def smoothing(peak: Floats, weights: Sequence[Floats], alpha: float) -> Floats:
    """(k,) factors max|x|^a / max|w|^(1-a) by which input channels are divided and weight rows multiplied, of
    geometric mean 1 (SmoothQuant, Xiao et al. 2023)."""
    widest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    factors = np.maximum(peak, 1e-5) ** alpha / np.maximum(widest, 1e-5) ** (1 - alpha)
    out: Floats = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return out


def _error_on(sample: Floats, weights: Sequence[Floats]) -> Callable[[Reading], float]:
    """The mean over rows of the relative squared error of the outputs, added up over the products; weights go to their
    nearest steps."""
    rows = sample[:: max(1, len(sample) // _JUDGED_ROWS)]
    exact = [rows @ weight for weight in weights]
    sizes = [np.maximum(np.square(expected).sum(axis=1), 1e-30) for expected in exact]

    def error(reading: Reading) -> float:
        read, total = reading(rows), 0.0
        for weight, expected, size in zip(weights, exact, sizes, strict=True):
            steps, scale = nearest(weight if reading.factors is None else weight * reading.factors[:, None])
            total += float((np.square(read @ (steps * scale) - expected).sum(axis=1) / size).mean())
        return total

    return error
