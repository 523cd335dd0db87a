"""Vectors as arrays: unit length, truncation."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.checks import integer

FloatArray: TypeAlias = npt.NDArray[np.float32]

_UNIT_TOLERANCE = 1e-5


def unit_length(vectors: FloatArray) -> FloatArray:
    """(n, dim) float32 divided by their Euclidean length. Rows that have length 1 within 1e-5, and zero rows, stay
    bit for bit."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    rows = np.flatnonzero((np.abs(lengths - 1.0) > _UNIT_TOLERANCE) & (lengths > 0))
    if not len(rows):
        return vectors
    out = vectors.copy()
    out[rows] = (vectors[rows] / lengths[rows, None]).astype(np.float32)
    return out


def truncate(vectors: FloatArray, dim: int, *, normalize: bool) -> FloatArray:
    """The first ``dim`` numbers of each (n, full) vector (Matryoshka, Kusupati et al. 2022), of unit length again if
    ``normalize``."""
    full = vectors.shape[1]
    integer("dim", dim, least=1, most=full)
    if dim == full:
        return vectors
    cut = np.ascontiguousarray(vectors[:, :dim])
    return unit_length(cut) if normalize else cut
