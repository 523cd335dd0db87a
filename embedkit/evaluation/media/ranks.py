"""Whether one of some right answers is among the first, where several may score the same."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import numpy.typing as npt


def among_first(scores: npt.NDArray[np.float32], right: Sequence[int] | npt.NDArray[np.intp], k: int) -> float:
    """The chance, from 0 to 1, that one of the ``right`` numbers is among the ``k`` highest of the (n,) ``scores`` where equal
    ones are in any order: an encoder to which all is the same is worth what chance is, and not the place in the file."""
    own = scores[np.asarray(right, dtype=np.intp)]
    best = own.max()
    above, equal = int((scores > best).sum()), int((scores == best).sum())
    good, left = int((own == best).sum()), k - above
    if left <= 0:
        return 0.0
    if left >= equal:
        return 1.0
    return 1.0 - comb(equal - good, left) / comb(equal, left)
