"""Several rankings of the same documents made into one.

A ranking maps ids to scores, higher is nearer; it holds what one ranker found, not all documents. For all three methods:
the order within a mapping means nothing, only its scores do; a document that a ranking lacks gets 0 from it, which is the
least that it can get; and an empty ranking gives nothing to anybody. A fused ranking is a mapping too, best first, equal
scores by id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from embedkit.checks import one_of
from embedkit.errors import InputError, OptionError

ScoresById: TypeAlias = Mapping[str, float]
Fusion: TypeAlias = Literal["rrf", "minmax", "dbsf"]
METHODS: tuple[Fusion, ...] = get_args(Fusion)
_Scores: TypeAlias = npt.NDArray[np.float64]


def rrf(rankings: Sequence[ScoresById], weights: Sequence[float] | None = None, *, k: float = 60.0) -> dict[str, float]:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): the sum of weight / (k + rank), each weight 1 unless
    given.

    The rank is 1 + the number of documents of the ranking with a greater score, so equal scores share a rank.
    """
    if not (isinstance(k, int | float) and math.isfinite(k) and k >= 0):
        raise OptionError(f"k: expected a number of at least 0, found {k!r}")
    return _fused(rankings, checked_weights(len(rankings), weights), lambda scores: 1.0 / (k + _ranks(scores)))


def minmax(rankings: Sequence[ScoresById], weights: Sequence[float] | None = None) -> dict[str, float]:
    """The weighted mean of the scores, where each ranking's are scaled so that its least is 0 and its greatest 1; between
    0 and 1. The weights are equal unless given.

    Where all scores of a ranking are equal, as where it has only one, each is 1.
    """
    return _fused(rankings, _shares(rankings, weights), _between_extremes)


def dbsf(rankings: Sequence[ScoresById], weights: Sequence[float] | None = None) -> dict[str, float]:
    """Distribution-based score fusion (Mazzeschi 2023): the weighted mean of the scores, where each ranking's are scaled
    so that their mean - 3 standard deviations is 0 and their mean + 3 is 1. The weights are equal unless given.

    The deviation is that of a sample (n - 1). A score below the 0 counts as 0; one above the 1 stays what it is. Where
    all scores of a ranking are equal, as where it has only one, each is 0.5.
    """
    return _fused(rankings, _shares(rankings, weights), _between_deviations)


def fuse(rankings: Sequence[ScoresById], method: Fusion, weights: Sequence[float] | None = None) -> dict[str, float]:
    """The rankings made one by `rrf`, `minmax` or `dbsf`."""
    return method_of(method)(rankings, weights)


def method_of(name: str) -> Callable[[Sequence[ScoresById], Sequence[float] | None], dict[str, float]]:
    """The function of that name; `OptionError` where it is no method."""
    methods = {"rrf": rrf, "minmax": minmax, "dbsf": dbsf}
    return methods[one_of("hybrid", name, METHODS)]


def scaled(scores: Sequence[float]) -> list[float]:
    """The scores between 0, the least, and 1, the greatest; 1 where all are equal."""
    return _between_extremes(np.asarray(scores, dtype=np.float64)).tolist() if len(scores) else []


def _fused(
    rankings: Sequence[ScoresById], weights: Sequence[float], scale: Callable[[_Scores], _Scores]
) -> dict[str, float]:
    total: dict[str, float] = {}
    for number, (ranking, weight) in enumerate(zip(rankings, weights, strict=True)):
        if not ranking:
            continue
        scores = np.fromiter(ranking.values(), np.float64, len(ranking))
        if not np.isfinite(scores).all():
            raise InputError(f"ranking {number}: expected finite scores, found NaN or infinity")
        for row_id, score in zip(ranking, (weight * scale(scores)).tolist(), strict=True):
            total[row_id] = total.get(row_id, 0.0) + score
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _ranks(scores: _Scores) -> _Scores:
    rising = np.sort(scores)
    return np.asarray(1.0 + len(scores) - np.searchsorted(rising, scores, side="right"))


def _between_extremes(scores: _Scores) -> _Scores:
    least, greatest = scores.min(), scores.max()
    # Halves, since the difference of two finite numbers may be infinite.
    width = greatest / 2 - least / 2
    return (scores / 2 - least / 2) / width if width > 0 else np.ones_like(scores)


def _between_deviations(scores: _Scores) -> _Scores:
    greatest = np.abs(scores).max()
    scores = scores / greatest if greatest > 0 else scores  # so that no square is infinite
    deviation = scores.std(ddof=1) if np.ptp(scores) > 0 else 0.0
    if not deviation > 0:
        return np.full_like(scores, 0.5)
    return np.asarray(np.maximum((scores - scores.mean()) / (6 * deviation) + 0.5, 0.0))


def _shares(rankings: Sequence[ScoresById], weights: Sequence[float] | None) -> list[float]:
    checked = checked_weights(len(rankings), weights)
    total = sum(checked)
    return [weight / total for weight in checked]


def checked_weights(count: int, weights: Sequence[float] | None) -> list[float]:
    """The weights of so many rankings, 1 for each where none are given; `OptionError` for what can be none."""
    if weights is None:
        return [1.0] * count
    checked = [float(weight) for weight in weights]
    if len(checked) != count:
        raise OptionError(f"weights: expected {count}, one for each ranking, found {len(checked)}")
    if checked and (not all(math.isfinite(weight) and weight >= 0 for weight in checked) or sum(checked) <= 0):
        raise OptionError(f"weights: expected numbers of at least 0, not all of them 0, found {checked}")
    return checked
