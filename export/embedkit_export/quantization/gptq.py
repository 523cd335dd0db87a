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
_BLOCK = 32


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
    as far as they are correlated with it under H (GPTQ, Frantar et al. 2023; rows with large inputs first). How far is read
    from a triangular factor of H itself: the inverse that GPTQ is written down with gives the same numbers (Chee et al. 2023)
    and takes four times as long.
    """

    def __init__(self, second: Floats) -> None:
        """``second`` is (k, k), the mean of x x^T."""
        level = float(np.trace(second, dtype=np.float64)) / len(second)
        damping = DAMPING * level if level > 0 else 1.0
        self._order = np.argsort(-np.diag(second), kind="stable")
        # H = R R^T with R upper triangular, by way of the reversed order. Then |E|^2_H = |R^T E|^2, whose row k is that of E and
        # what the rows before it have left over, by the column of R.
        reverse = self._order[::-1]
        factor = torch.from_numpy(second[np.ix_(reverse, reverse)]).to(torch.float64)
        factor.diagonal().add_(damping)
        factor = torch.linalg.cholesky(factor).flip(0, 1)
        factor /= factor.diagonal().clone()
        self._carried: Floats = factor.to(torch.float32).numpy()

    def __call__(self, weight: Floats) -> tuple[Int8, Floats]:
        """(k, n) float32 -> int8 of the same shape and (n,) float32 scales."""
        carried, rows, scale = self._carried, weight[self._order], column_scale(weight)
        out, left = np.empty(weight.shape, np.int8), np.empty_like(rows)
        for start in range(0, len(rows), _BLOCK):
            end = min(start + _BLOCK, len(rows))
            block = rows[start:end] + carried[:start, start:end].T @ left[:start]
            for i, row in enumerate(range(start, end)):
                steps = np.clip(np.rint(block[i] / scale), -127, 127)
                out[self._order[row]] = steps
                left[row] = rows[row] - steps * scale
                block[i + 1 :] += np.outer(carried[row, row + 1 : end], left[row])
        return out, scale
