"""How the rows that a product reads become unsigned 8-bit numbers: smoothing, zero point and the step of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedkit_export.tensors import Floats

from .calibration.statistics import Statistics
from .gptq import nearest

Channels = npt.NDArray[np.int64]

SYMMETRIC = 128
LEAST_STEP = 1e-10
"""A row of zeros has no step of its own."""
ALPHAS = (0.4, 0.5, 0.6, 0.7, 0.8)
"""The smoothing exponents that are tried."""
LOWEST = {"Gelu": 0.17, "BiasGelu": 0.17, "FastGelu": 0.17, "Relu": 0.0}
"""Operators whose output is bounded from below, by minus this."""
ZERO_POINTS = (16, 20, 24, 32)
"""The zero points that are tried for such an output."""
WORTH = 0.02
"""The part of the mean squared step that one more copy of a channel has to save."""
_WORTH_A_PASS = 0.25
_COPIES_IN_WIDTH = 48  # so that a product becomes at most 2 % longer
_UNLIKE = 0.4
_JUDGED_ROWS = 256
_JUDGED_COLUMNS = 512  # of outputs, which have steps of their own


@dataclass(frozen=True)
class ActivationQuantizer:
    """A row x of k numbers is read as ``zero + round(x[columns] / factors / step)``, with a step of its own.

    The step is max|x[columns] / factors| / 127 around zero point 128. Where nothing is below -``lowest``, the zero point
    is small and the step is max(x) / (255 - zero), or what reaches -``lowest`` if that is more.
    """

    factors: Floats | None = None
    """(k + e,) what each number that is read is divided by; None for ones."""
    gains: Floats | None = None
    """(k + e,) what the weight's row for each is multiplied by; None for ``factors``."""
    copies: Channels | None = None
    """(e,) channels that are read again behind the k, each time by a part."""
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
        """(m, k) -> (m, k + e) float32, the copies behind, divided by the factors."""
        if self.copies is not None:
            rows = np.concatenate([rows, rows[:, self.copies]], axis=1)
        return rows if self.factors is None else (rows / self.factors).astype(np.float32)

    def weight(self, weight: Floats) -> Floats:
        """(k, n) -> (k + e, n) float32: what the smoothed rows are multiplied by for the same product."""
        if self.copies is not None:
            weight = np.concatenate([weight, weight[self.copies]])
        gains = self.factors if self.gains is None else self.gains
        return weight if gains is None else (weight * gains[:, None]).astype(np.float32)

    def moment(self, second: Floats) -> Floats:
        """(k, k) second moment of the rows -> (k + e, k + e) float32 that of the smoothed rows."""
        if self.copies is not None:
            which = np.concatenate([np.arange(len(second)), self.copies])
            second = second[np.ix_(which, which)]
        if self.factors is None:
            return second
        inverse = (1 / self.factors).astype(np.float32)
        return np.asarray(second * inverse[:, None] * inverse, np.float32)

    def __call__(self, rows: Floats) -> Floats:
        """(m, k) -> (m, k) float32 the smoothed rows as the product reads them."""
        steps = self.steps(rows)
        numbers = np.clip(np.rint(self.smoothed(rows) / steps), -self.zero, 255 - self.zero)
        out: Floats = (numbers * steps).astype(np.float32)
        return out


def choose_reading(
    statistics: Statistics | None, weights: Sequence[Floats], made_by: str | None
) -> ActivationQuantizer:
    """The reading with the least error in the products' outputs on the calibration rows.

    ``weights`` are the (k, n) weights that share the input, ``made_by`` the operator that makes it. An input that is
    bounded from below is not smoothed: that would move the bound differently in each channel.
    """
    lowest = LOWEST.get(made_by or "")
    if lowest == 0:
        return ActivationQuantizer(zero=0, lowest=lowest)
    if statistics is None:
        return ActivationQuantizer() if lowest is None else ActivationQuantizer(zero=ZERO_POINTS[0], lowest=lowest)
    if lowest is not None:
        candidates = [ActivationQuantizer(zero=zero, lowest=lowest) for zero in ZERO_POINTS]
    else:
        smoothed = [ActivationQuantizer(smoothing(statistics.peak, weights, alpha)) for alpha in ALPHAS]
        candidates = [split(reading, statistics.sample) for reading in smoothed]
    return min(candidates, key=_error_on(statistics.sample, weights))


def split(reading: ActivationQuantizer, sample: Floats) -> ActivationQuantizer:
    """The reading with a few channels read several times, each time by a part, where that makes the rows' steps much
    smaller on the ``sample`` (m, k).

    Some encoders have tokens with one channel that is a hundred times as large as the others (massive activations, Sun
    et al. 2024). The step of such a row is so coarse that the rest of it is lost; no smoothing helps, since in most
    rows that channel is like any other. The parts add up to the whole, and as they are not alike, neither are their
    rounding errors. The outputs' error goes with the square of the step, relative to the row's own size: copies are
    given out one by one to the channel where that falls most, as long as it falls by `WORTH`.
    """
    assert reading.factors is not None
    rows = np.abs(reading.smoothed(sample))
    sizes = np.maximum(np.square(rows).mean(axis=1), LEAST_STEP)
    count = np.ones(rows.shape[1], np.int64)
    parts = rows.copy()
    for _ in range(rows.shape[1] // _COPIES_IN_WIDTH):
        highest = parts.argmax(axis=1)
        top, second = np.partition(parts, -2, axis=1)[:, :-3:-1].T
        lower = np.maximum(top * count[highest] / (count[highest] + 1), second)
        saved = np.bincount(highest, (top**2 - lower**2) / sizes, minlength=len(count))
        best = int(saved.argmax())
        if saved[best] < WORTH * float((top**2 / sizes).sum()):
            break
        count[best] += 1
        parts[:, best] = rows[:, best] / count[best]
    before, after = (float((np.square(found.max(axis=1)) / sizes).mean()) for found in (rows, parts))
    if after > (1 - _WORTH_A_PASS) * before:
        return reading
    copies = np.repeat(np.arange(len(count)), count - 1)
    gains = np.concatenate([reading.factors, reading.factors[copies]])
    factors = gains.copy()
    for channel in np.flatnonzero(count > 1):
        places = np.concatenate([[channel], len(count) + np.flatnonzero(copies == channel)])
        parts_of = np.linspace(1 - _UNLIKE, 1 + _UNLIKE, len(places))
        factors[places] /= (parts_of / parts_of.sum()).astype(np.float32)
    return ActivationQuantizer(factors, gains, copies)


def smoothing(peak: Floats, weights: Sequence[Floats], alpha: float) -> Floats:
    """(k,) factors max|x|^a / max|w|^(1-a) by which input channels are divided and weight rows multiplied, of
    geometric mean 1 (SmoothQuant, Xiao et al. 2023)."""
    widest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    factors = np.maximum(peak, 1e-5) ** alpha / np.maximum(widest, 1e-5) ** (1 - alpha)
    out: Floats = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return out


def _error_on(sample: Floats, weights: Sequence[Floats]) -> Callable[[ActivationQuantizer], float]:
    """The mean over rows of the relative squared error of the outputs, added up over the products; weights go to their
    nearest steps. Of many rows and outputs some are judged."""
    rows = sample[:: max(1, len(sample) // _JUDGED_ROWS)]
    weights = [np.ascontiguousarray(weight[:, :: -(-weight.shape[1] // _JUDGED_COLUMNS)]) for weight in weights]
    exact = [rows @ weight for weight in weights]
    sizes = [np.maximum(np.square(expected).sum(axis=1), 1e-30) for expected in exact]

    def error(reading: ActivationQuantizer) -> float:
        read, total = reading(rows), 0.0
        for weight, expected, size in zip(weights, exact, sizes, strict=True):
            steps, scale = nearest(reading.weight(weight))
            total += float((np.square(read @ (steps * scale) - expected).sum(axis=1) / size).mean())
        return total

    return error
