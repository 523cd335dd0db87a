"""Numbers for classes: where a bundle gives them, and the scores or probabilities that they stand for."""

from __future__ import annotations

import numpy as np

from .encoding import TextEncoder
from .errors import InputError
from .records import FloatArray


def logits_output(encoder: TextEncoder) -> str:
    """The name of the bundle's output of kind ``logits``; `InputError` where it has none."""
    given = encoder.outputs()
    for name, output in given.items():
        if output.kind == "logits":
            return name
    kinds = ", ".join(f"{name} ({output.kind})" for name, output in given.items())
    raise InputError(
        f"this bundle gives no numbers for classes or pairs, but {kinds}; export a model that has a head for them"
    )


def activated(logits: FloatArray, activation: str) -> FloatArray:
    """(n, classes) float32 as they are (``identity``), each by itself between 0 and 1 (``sigmoid``), or adding up to 1
    (``softmax``); computed in float64."""
    wide = logits.astype(np.float64)
    if activation == "sigmoid":
        small = np.exp(-np.abs(wide))
        wide = np.where(wide >= 0, 1.0, small) / (1.0 + small)
    elif activation == "softmax":
        wide = np.exp(wide - wide.max(axis=1, keepdims=True, initial=-np.inf))
        wide /= wide.sum(axis=1, keepdims=True)
    return wide.astype(np.float32)
