"""What an encoder reaches on the labels of a sample, by the measures of `embedkit eval`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.evaluation.rankings import judged, nearest
from embedkit.evaluation.scores import correlations, encoded, paired
from embedkit.vectors.arrays import truncate
from embedkit.vectors.values import Values

from .sample import Sample

SEARCH = ("ndcg@10", "recall@10")


class LabelledSample:
    """A sample's labels with what an encoder makes of its texts; each is encoded once, whatever sizes are measured."""

    def __init__(self, sample: Sample, encoder: BaseEncoder) -> None:
        self.sample, self.encoder = sample, encoder
        self._values: dict[str, Values] = {}

    def figures(self, size: int | None = None) -> dict[str, float]:
        """``spearman`` of pairs (-1 to 1), ``ndcg@10`` and ``recall@10`` of searches (0 to 1), by the model's own measure;
        nothing without labels. ``size`` is how many numbers of the vectors are taken, by default all.

        Raises `InputError` for NaN or infinity in the vectors, and where all pairs get the same score.
        """
        return {**self._pairs(size), **self._searches(size)}

    def _pairs(self, size: int | None) -> dict[str, float]:
        pairs = self.sample.pairs
        if not pairs:
            return {}
        texts = list(dict.fromkeys(text for pair in pairs for text in (pair.a, pair.b)))
        place = {text: row for row, text in enumerate(texts)}
        values = self._encoded(texts, "default", size)
        a, b = (np.array([place[text] for text in side]) for side in zip(*((p.a, p.b) for p in pairs), strict=True))
        return {"spearman": rank_correlation(paired(self.encoder, values[a], values[b]), [p.score for p in pairs])}

    def _searches(self, size: int | None) -> dict[str, float]:
        queries = self.sample.queries
        if not queries:
            return {}
        asked = self._encoded([query.text for query in queries], "query", size)
        documents = self._encoded(list(self.sample.documents), "document", size)
        found = judged(nearest(self.encoder, asked, [documents]), [query.relevant for query in queries])
        return {name: float(found[name].mean()) for name in SEARCH}

    def _encoded(self, texts: list[str], role: str, size: int | None) -> Values:
        if role not in self._values:
            self._values[role] = encoded(self.encoder, texts, role, progress=False)
        values = self._values[role]
        if size is None or not isinstance(values, np.ndarray):
            return values
        output = next(iter(self.encoder.outputs(role).values()))
        return truncate(values, size, normalize=output.normalized)


def rank_correlation(a: Sequence[float] | np.ndarray[Any, Any], b: Sequence[float] | np.ndarray[Any, Any]) -> float:
    """Spearman's rank correlation, -1 to 1, of two sequences of shape (n,), by scipy. Raises `InputError` where it is
    undefined: for fewer than two values, and where all of a side are equal or one is NaN."""
    x, y = (np.asarray(side, dtype=np.float64) for side in (a, b))
    value = correlations(x, y)["spearman"] if len(x) > 1 else float("nan")
    if not np.isfinite(value):
        raise InputError(
            f"spearman: expected different numbers on both sides, found {len(np.unique(x))} and {len(np.unique(y))} different in "
            f"{len(x)} places; it is undefined there"
        )
    return value
