"""Encoders whose vectors a test writes down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace

import numpy as np

from embedkit.bundle.manifest import Output
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import Stats
from embedkit.runtime.outputs import Named, RoleInfo
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.values import Values


class Given(BaseEncoder):
    """Gives each text the row of ``values`` that is its; what roles were asked for is noted in ``asked``."""

    metric = "cosine"
    fingerprint = "given"

    def __init__(
        self,
        texts: Sequence[str],
        values: Values,
        *,
        kind: str = "dense",
        tokens: MultiVectors | None = None,
        window: int = 3,
    ) -> None:
        self.place = {text: row for row, text in enumerate(texts)}
        self.values, self.tokens, self.window = values, tokens, window
        self.variant, self.engine = "fp32", "given"
        self.asked: list[str] = []
        self.stats = Stats(texts=100, truncated=10)
        size = values.shape[1] if isinstance(values, np.ndarray) else values.dim
        outputs = {"first": Output(kind=kind, dim=size)}
        if tokens is not None:
            outputs["tokens"] = Output(kind="tokens", dim=tokens.dim)
        about = RoleInfo(
            SimpleNamespace(is_item=lambda value: isinstance(value, str), noun="text"), Named("output", outputs), 9
        )
        self.bundle = SimpleNamespace(manifest=SimpleNamespace(scorers={}))
        self._roles = Named("role", dict.fromkeys(("default", "query", "document"), about))

    @property
    def concurrency(self):
        return 1

    def encode(self, texts, *, role="default", progress=False):
        self.asked.append(role)
        self.stats.texts += len(texts)
        self.stats.truncated += sum(len(text) > 20 for text in texts)
        return self.values[[self.place[text] for text in texts]]

    def stream(self, texts, *, role="default"):
        self.asked.append(role)
        texts = list(texts)
        for start in range(0, len(texts), self.window):
            yield self.values[[self.place[text] for text in texts[start : start + self.window]]]

    def stream_outputs(self, texts, *, role="default", outputs=None):
        for start in range(0, len(texts), self.window):
            rows = [self.place[text] for text in texts[start : start + self.window]]
            yield {name: (self.values if name == "first" else self.tokens)[rows] for name in outputs}


class Written(Given):
    """Gives each text the vector that is written for it."""

    def __init__(self, vectors: Mapping[str, Iterable[float]], *, window: int = 3) -> None:
        rows = [np.array(vector, dtype=np.float32) for vector in vectors.values()]
        super().__init__(list(vectors), np.stack(rows), window=window)


def angle(degrees: float) -> tuple[float, float]:
    """A unit vector."""
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
