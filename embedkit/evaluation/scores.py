"""Encoding texts and scoring what comes of it, whatever its kind."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.system.extras import needed
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.geometry import Vectors64, isotropy, squared_distances, uniformity, unit
from embedkit.vectors.values import Values

Similarity: TypeAlias = Literal["cosine", "dot", "euclidean"]


def check_similarity(fn: str | None) -> None:
    """`InputError` for a measure that is not known; None stands for the model's own."""
    if fn not in (None, "cosine", "dot", "euclidean"):
        raise InputError(f"similarity: expected cosine, dot or euclidean, found {fn!r}")


def check_comparable(encoder: BaseEncoder, fn: Similarity | None) -> None:
    """`InputError` for a measure of dense vectors where the model's are of another kind."""
    check_encoder(encoder)
    if fn is not None and encoder.kind != "dense":
        raise InputError(
            f"similarity: {fn} compares dense vectors, and this bundle's are {encoder.kind}; leave it out to compare them as the model does"
        )


def encoded(encoder: BaseEncoder, texts: Sequence[str], role: str, *, progress: bool) -> Values:
    """The first output of n texts: (n, dim) float32, `SparseVectors` or `MultiVectors`, finite."""
    check_encoder(encoder)
    values: Values = encoder.encode(list(texts), role=role, progress=progress)
    check_finite(values, role)
    return values


def check_finite(values: Values, role: str) -> None:
    """`InputError` for numbers that no score can be made of; kinds other than dense cannot hold them."""
    if isinstance(values, np.ndarray) and not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=1)))
        raise InputError(
            f"{role} vectors: expected finite numbers, found NaN or infinity in row {row}; check the bundle with  embedkit verify"
        )


def paired(encoder: BaseEncoder, a: Values, b: Values, fn: Similarity | None = None) -> FloatArray:
    """(n,) float32: the score of each row of ``a`` (n) with the same row of ``b``; a higher score is nearer."""
    check_comparable(encoder, fn)
    if isinstance(a, np.ndarray) and encoder.kind == "dense":
        measure = fn or encoder.metric
        x, y = (_prepared(values, measure) for values in (a, np.asarray(b)))
        scores = -np.linalg.norm(x - y, axis=1) if measure == "euclidean" else np.einsum("ij,ij->i", x, y)
        return np.asarray(scores, dtype=np.float32)
    each = (encoder.similarity(a[i : i + 1], b[i : i + 1])[0, 0] for i in range(len(a)))
    return np.fromiter(each, dtype=np.float32, count=len(a))


def crossed(encoder: BaseEncoder, a: Values, b: Values, fn: Similarity | None = None) -> FloatArray:
    """(n, m) float32: the score of each row of ``a`` (n) with each of ``b`` (m); a higher score is nearer.

    It is `BaseEncoder.similarity`, but that scores of dense vectors are computed in float64, so that equal texts tie
    whatever they stand beside.
    """
    check_comparable(encoder, fn)
    if not isinstance(a, np.ndarray) or encoder.kind != "dense":
        return encoder.similarity(a, b)
    measure = fn or encoder.metric
    x, y = (_prepared(values, measure) for values in (a, np.asarray(b)))
    products = x @ y.T
    if measure == "euclidean":
        squares = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y)[None, :] - 2.0 * products
        products = -np.sqrt(np.maximum(squares, 0.0))
    return products.astype(np.float32)


@dataclass(frozen=True)
class EncodedPairs:
    """n pairs of texts, of which each different text is encoded once: rows ``first[i]`` and ``second[i]`` of ``values``."""

    encoder: BaseEncoder
    values: Values
    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]

    @classmethod
    def of(
        cls, encoder: BaseEncoder, first: Sequence[str], second: Sequence[str], role: str, *, progress: bool = False
    ) -> EncodedPairs:
        """The pairs of ``first`` (n) and ``second`` (n)."""
        texts = list(dict.fromkeys([*first, *second]))
        place = {text: row for row, text in enumerate(texts)}
        values = encoded(encoder, texts, role, progress=progress)
        a, b = (np.array([place[text] for text in side], dtype=np.intp) for side in (first, second))
        return cls(encoder, values, a, b)

    def scores(self, fn: Similarity | None = None) -> FloatArray:
        """(n,) float32: how near the two of each pair are; a higher score is nearer."""
        return paired(self.encoder, self.values[self.first], self.values[self.second], fn)

    def distances(self) -> Vectors64 | None:
        """(n,) squared distances of the two of each pair at unit length; None of vectors that are not dense."""
        dense = self._dense
        return None if dense is None else squared_distances(dense[self.first], dense[self.second])

    def space(self) -> dict[str, float]:
        """Uniformity and isotropy of the vectors of all different texts; nothing of vectors that are not dense."""
        dense = self._dense
        return {} if dense is None else {"uniformity": uniformity(dense), "isotropy": isotropy(dense)}

    @property
    def _dense(self) -> FloatArray | None:
        return self.values if isinstance(self.values, np.ndarray) and self.encoder.kind == "dense" else None


def correlations(scores: npt.NDArray[np.float64], gold: npt.NDArray[np.float64]) -> dict[str, float]:
    """Spearman's and Pearson's correlation (n,) with (n,), by scipy: equal values share the mean of their ranks. NaN where
    all values of a side are the same. Raises `MissingExtraError` without scipy."""
    stats = needed("scipy.stats", "correlating scores")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are all the same: NaN says it
        return {
            "spearman": float(stats.spearmanr(scores, gold).statistic),
            "pearson": float(stats.pearsonr(scores, gold).statistic),
        }


def _prepared(vectors: npt.NDArray[Any], fn: Similarity) -> Vectors64:
    return unit(vectors) if fn == "cosine" else vectors.astype(np.float64)
