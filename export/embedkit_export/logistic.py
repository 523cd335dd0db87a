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
