"""How a set of vectors lies in space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import InputError


def isotropy(vectors: npt.ArrayLike) -> float:
    """1 minus the mean cosine of all pairs of different rows of ``vectors`` (n, dim), at least two, such as a text's token
    vectors: about 1 where they point everywhere, 0 where all point one way (Su et al. 2022, contrastive search).

    A row of zeros has the cosine 0 with every other. Raises `InputError` for another shape, NaN or infinity.
    """
    given = np.asarray(vectors, dtype=np.float64)
    if given.ndim != 2 or len(given) < 2:
        raise InputError(f"isotropy: expected at least two vectors (n, dim), found the shape {given.shape}")
    if not np.isfinite(given).all():
        raise InputError("isotropy: found NaN or infinity")
    # Of unit vectors the cosines of all pairs are the square of their sum, without each one's with itself. Scaled first,
    # so that no square is too large or too small for a number.
    largest = np.abs(given).max(axis=1, keepdims=True, initial=0.0)
    scaled = given / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    units = scaled / np.where(lengths > 0, lengths, 1.0)
    total = units.sum(axis=0)
    pairs = float(total @ total) - float((units * units).sum())
    return 1.0 - pairs / (len(units) * (len(units) - 1))
