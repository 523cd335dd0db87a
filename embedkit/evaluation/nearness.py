"""Scores of vectors for judging them: exact products, so that equal texts tie whatever they stand beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..encoding import TextEncoder
from ..errors import InputError
from ..records import FloatArray

Similarity: TypeAlias = Literal["cosine", "dot", "euclidean"]
Vectors64: TypeAlias = npt.NDArray[np.float64]

BLOCK = 1_024
"""Rows of a block of scores."""


def check_similarity(fn: str | None) -> None:
    """`InputError` for a measure that is not known; None stands for the model's own."""
    if fn not in (None, "cosine", "dot", "euclidean"):
        raise InputError(f"similarity: expected cosine, dot or euclidean, found {fn!r}")


def encoded(encoder: TextEncoder, texts: Sequence[str], role: str, *, progress: bool) -> FloatArray:
    """(n, dim) float32 of n texts, finite."""
    vectors = encoder.encode(list(texts), role=role, progress=progress)
    check_finite(vectors, role)
    return vectors


def check_finite(vectors: FloatArray, role: str) -> None:
    """`InputError` for numbers that no score can be made of."""
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise InputError(
            f"{role} vectors: expected finite numbers, found NaN or infinity in row {row}; check the bundle with  embedkit verify"
        )


def prepared(vectors: npt.NDArray[Any], fn: Similarity) -> Vectors64:
    """(n, dim) float64, of unit length where ``fn`` is cosine; a zero vector stays zero."""
    wide = vectors.astype(np.float64)
    return unit(wide) if fn == "cosine" else wide


def unit(vectors: Vectors64) -> Vectors64:
    """(n, dim) of unit length; a zero vector stays zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def paired(a: Vectors64, b: Vectors64, fn: Similarity) -> FloatArray:
    """(n,) float32: the score of each row of ``a`` (n, dim) with the same row of ``b``, both `prepared`; a higher score
    is nearer."""
    scores = -np.linalg.norm(a - b, axis=1) if fn == "euclidean" else np.einsum("ij,ij->i", a, b)
    return np.asarray(scores, dtype=np.float32)


def crossed(a: Vectors64, b: Vectors64, fn: Similarity) -> FloatArray:
    """(n, m) float32: the score of each row of ``a`` (n, dim) with each of ``b`` (m, dim), both `prepared`. It is
    computed in float64, so that what differs by rounding only ties."""
    products = a @ b.T
    if fn == "euclidean":
        squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :] - 2.0 * products
        products = -np.sqrt(np.maximum(squares, 0.0))
    return products.astype(np.float32)


def blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that together are n rows."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
