"""How dense vectors lie in their space, judged without a task. All take any (n, dim) array of finite numbers, a text's
token vectors too, and look at directions only."""

from __future__ import annotations

import numpy.typing as npt

from embedkit.vectors import geometry
from embedkit.vectors.geometry import directions


def isotropy(vectors: npt.ArrayLike) -> float:
    """1 minus the mean cosine of all pairs of n vectors (n, dim): what is left of 1 by the anisotropy of Ethayarajh (2019,
    *How Contextual are Contextualized Word Representations?*). 0 where all have one direction, 1 where they have none in
    common, a little over 1 where few vectors are spread evenly; higher is better. NaN for fewer than two."""
    found = directions(vectors)
    return geometry.isotropy(found) if len(found) > 1 else float("nan")
