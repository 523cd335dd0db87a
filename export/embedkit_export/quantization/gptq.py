"""Rounding a weight to int8 so that the product's output, not the weight, changes least."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]

DAMPING = 0.01
"""Share of the mean diagonal of the second moment that is added to it: GPTQ's usual one. It is more than an inverse
needs, and keeps the weights from being fitted to the calibration texts alone."""
_BLOCK = 128


def nearest(weight: Floats) -> tuple[Int8, Floats]:
    """(k, n) float32 -> int8 of the same shape and (n,) float32 scales, one for each output channel; every weight to
    its nearest step."""
    scale = column_scale(weight)
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale


def column_scale(weight: Floats) -> Floats:
    """(n,) float32: the step with which 127 steps reach the largest weight of each output channel."""
    scale: Floats = np.maximum(np.abs(weight).max(axis=0) / 127, np.float32(1e-12)).astype(np.float32)
    return scale


class OutputRounding:
    """Rounds weights that read the same input, given the second moment of that input.

    With H = E x x^T and d I added, a rounded weight W' shall have the least |W - W'|^2_H, the output's squared error.
    The rows of W are rounded one after the other, and what each leaves over is carried by the rows not rounded yet,
    as far as they are correlated with it under H (GPTQ, Frantar et al. 2023; rows with large inputs first).
    """

    def __init__(self, second: Floats) -> None:
        """``second`` is (k, k), the mean of x x^T."""
        level = float(np.trace(second, dtype=np.float64)) / len(second)
        damping = DAMPING * level if level > 0 else 1.0
        self._order = np.argsort(-np.diag(second), kind="stable")
        # H = R R^T with R upper triangular, by way of the reversed order; then U = R^-1 has H^-1 = U^T U.
        reverse = self._order[::-1]
        moment = torch.from_numpy(second[np.ix_(reverse, reverse)]).to(torch.float64)
        moment.diagonal().add_(damping)
        upper = torch.linalg.cholesky(moment).flip(0, 1)
        identity = torch.eye(len(second), dtype=torch.float64)
        self._factor: Floats = torch.linalg.solve_triangular(upper, identity, upper=True).to(torch.float32).numpy()

    def __call__(self, weight: Floats) -> tuple[Int8, Floats]:
        """(k, n) float32 -> int8 of the same shape and (n,) float32 scales."""
        factor, rest, scale = self._factor, weight[self._order], column_scale(weight)
        out = np.empty(weight.shape, np.int8)
        k = len(rest)
        for start in range(0, k, _BLOCK):
            end = min(start + _BLOCK, k)
            block = rest[start:end].copy()
            left = np.empty_like(block)
            for i in range(end - start):
                steps = np.clip(np.rint(block[i] / scale), -127, 127)
                out[self._order[start + i]] = steps
                left[i] = (block[i] - steps * scale) / factor[start + i, start + i]
                block[i + 1 :] -= np.outer(factor[start + i, start + i + 1 : end], left[i])
            rest[end:] -= factor[start:end, end:].T @ left
        return out, scale
