"""Vectors as arrays: unit length, truncation."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.errors import InputError

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
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= full:
        raise InputError(f"dim: expected an integer from 1 to {full}, found {dim!r}")
    if dim == full:
        return vectors
    cut = np.ascontiguousarray(vectors[:, :dim])
    return unit_length(cut) if normalize else cut
