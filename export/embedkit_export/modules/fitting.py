"""A logistic regression as the head of an encoder: its numbers as arrays, without pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.errors import InputError


def logistic_head(model: Any) -> dict[str, npt.NDArray[np.float32]]:
    """``weight`` (classes, dim) and ``bias`` (classes,) of a fitted `sklearn.linear_model.LogisticRegression`, such as a
    SetFit model's head, whose softmax are its probabilities. Save them with ``numpy.savez`` and name them in a recipe:
    ``outputs.classes = {kind = "logits", stages = [{kind = "linear", weights = "head.npz:"}], activation = "softmax"}``.

    Of two classes sklearn keeps one row, the second class's: the first gets zeros, whose softmax is the same as the logistic
    function. Raises `InputError` for a model that is not fitted, or that decides its classes one against the rest.
    """
    weight, bias = getattr(model, "coef_", None), getattr(model, "intercept_", None)
    if weight is None or bias is None:
        raise InputError(f"head: expected a fitted LogisticRegression, found {type(model).__name__}; call fit first")
    if getattr(model, "multi_class", "auto") == "ovr" and len(model.classes_) > 2:
        raise InputError("head: this regression decides one class against the rest; fit it as multinomial")
    rows, shift = np.asarray(weight, np.float32), np.asarray(bias, np.float32).reshape(-1)
    if len(rows) == 1:
        rows, shift = np.concatenate([np.zeros_like(rows), rows]), np.concatenate([np.zeros_like(shift), shift])
    return {"weight": rows, "bias": np.broadcast_to(shift, (len(rows),)).copy()}


def fit_whitening(vectors: npt.NDArray[np.float32], dim: int | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """``shift`` (d,) and ``matrix`` (d, dim) that give (x + shift) @ matrix zero mean and unit covariance over (n, d)
    ``vectors``, largest variances first (Su et al. 2021). Save them with ``numpy.savez`` for an ``affine`` stage."""
    wide = vectors.astype(np.float64)
    if wide.ndim != 2 or len(wide) < 2:
        raise InputError(f"vectors: expected (n, d) with at least two rows, found the shape {vectors.shape}")
    values, axes = np.linalg.eigh(np.cov(wide, rowvar=False))
    order = np.argsort(values)[::-1][: dim or len(values)]
    matrix = axes[:, order] / np.sqrt(np.maximum(values[order], 1e-12))
    return {"shift": -wide.mean(axis=0).astype(np.float32), "matrix": matrix.astype(np.float32)}
