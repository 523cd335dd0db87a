"""Encoders whose vectors a test writes down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace

import numpy as np

from embedkit.encoding import Stats, TextEncoder


class Written(TextEncoder):
    """Gives each text the vector that is written for it; ``roles`` are noted."""

    metric = "cosine"
    fingerprint = "written"

    def __init__(self, vectors: Mapping[str, Iterable[float]], *, window: int = 3) -> None:
        self.vectors = {text: np.array(vector, dtype=np.float32) for text, vector in vectors.items()}
        self.variant, self.engine, self.window = "fp32", "written", window
        self.asked: list[str] = []
        self.stats = Stats(texts=100, truncated=10)
        self._roles = {"default": SimpleNamespace(output=SimpleNamespace(dim=self.dim))}

    @property
    def dim(self):
        return len(next(iter(self.vectors.values())))

    @property
    def concurrency(self):
        return 1

    def _submit(self, role, items):
        raise NotImplementedError

    def encode(self, texts, *, role="default", progress=False):
        self.asked.append(role)
        self.stats.texts += len(texts)
        self.stats.truncated += sum(len(text) > 20 for text in texts)
        return np.stack([self.vectors[text] for text in texts])

    def stream(self, texts, *, role="default"):
        self.asked.append(role)
        texts = list(texts)
        for start in range(0, len(texts), self.window):
            yield np.stack([self.vectors[text] for text in texts[start : start + self.window]])


def angle(degrees: float) -> tuple[float, float]:
    """A unit vector."""
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
