"""How well scores agree with a person's judgement: rank correlation, nDCG and recall. A higher score is nearer.

Equal scores are ranked by their index, so that a figure does not depend on the sorting algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.errors import InputError

Relevant: TypeAlias = Mapping[int, float]
"""A query's relevant documents: column in the scores -> grade. A grade of 0 or less is not relevant."""

_Numbers: TypeAlias = npt.NDArray[np.floating[Any]] | Sequence[float]


def spearman(a: _Numbers, b: _Numbers) -> float:
    """Spearman's rank correlation, -1 to 1, of two sequences of shape (n,): the Pearson correlation of their ranks,
    where equal values share the mean of their ranks (Spearman, 1904; Kendall, *Rank Correlation Methods*, 1948).

    Raises `InputError` for different lengths, NaN, fewer than two values, and where all values of a side are equal:
    there the correlation is undefined.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (a, b)]
    if sides[0].ndim != 1 or sides[0].shape != sides[1].shape:
        raise InputError(
            f"spearman: expected two sequences of the same length, found shapes {sides[0].shape} and {sides[1].shape}"
        )
    if len(sides[0]) < 2:
        raise InputError(f"spearman: expected at least two values on each side, found {len(sides[0])}")
    centred = []
    for side in sides:
        if np.isnan(side).any():
            raise InputError(f"spearman: expected numbers, found NaN at {int(np.isnan(side).argmax())}")
        if (side == side[0]).all():
            raise InputError(
                f"spearman: expected different values, found {side[0]:g} in all {len(side)} places: it is undefined there"
            )
        ranks = _ranks(side)
        centred.append(ranks - ranks.mean())
    x, y = centred
    # Rounding can carry a perfect correlation past 1.
    return float(np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def ndcg(scores: npt.NDArray[np.float32], relevant: Sequence[Relevant], k: int = 10) -> float:
    """nDCG@k, 0 to 1, mean over the queries: the gain of a document is its grade, its discount log2(rank + 1), and the
    ideal order holds all relevant documents of the query (Järvelin and Kekäläinen, 2002, in the form of trec_eval's
    ``ndcg_cut`` and of BEIR).

    Args:
        scores: (queries, documents) float32, without NaN.
        relevant: for each query its relevant documents with their grades.
        k: how many of the first documents count.

    Raises `InputError` for NaN, another number of queries, an unknown document, and a query without a relevant
    document, whose nDCG is undefined.
    """
    order, wanted = _ranking(scores, relevant, k)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    total = 0.0
    for row, grades in zip(order, wanted, strict=True):
        gains = np.array([grades.get(int(index), 0.0) for index in row])
        ideal = np.array(sorted(grades.values(), reverse=True)[:k])
        total += float(gains @ discounts[: len(gains)]) / float(ideal @ discounts[: len(ideal)])
    return total / len(wanted)


def recall(scores: npt.NDArray[np.float32], relevant: Sequence[Relevant], k: int = 10) -> float:
    """Recall@k, 0 to 1, mean over the queries: the share of a query's relevant documents among its first ``k`` (as
    trec_eval's ``recall``: the denominator is not cut to k). Arguments and errors as of `ndcg`."""
    order, wanted = _ranking(scores, relevant, k)
    return float(
        np.mean([len(grades.keys() & row.tolist()) / len(grades) for row, grades in zip(order, wanted, strict=True)])
    )


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])


def _ranking(
    scores: npt.NDArray[np.float32], relevant: Sequence[Relevant], k: int
) -> tuple[npt.NDArray[np.intp], list[dict[int, float]]]:
    """(queries, up to k) indices of the best documents, and the positive grades of each query; checked."""
    if scores.ndim != 2 or len(scores) != len(relevant) or not len(relevant):
        raise InputError(
            f"scores: expected a row for each of {len(relevant)} queries (at least one), found shape {scores.shape}"
        )
    if k < 1:
        raise InputError(f"k: expected at least 1, found {k}")
    unordered = np.isnan(scores).any(axis=1)
    if unordered.any():
        raise InputError(f"scores: expected numbers, found NaN for query {int(unordered.argmax())}")
    wanted = []
    for number, grades in enumerate(relevant):
        positive = {index: grade for index, grade in grades.items() if grade > 0}
        if not positive:
            raise InputError(
                f"query {number}: expected at least one relevant document with a grade over 0; leave it out"
            )
        if not 0 <= min(positive) <= max(positive) < scores.shape[1]:
            raise InputError(f"query {number}: expected documents 0 to {scores.shape[1] - 1}, found {sorted(positive)}")
        wanted.append(positive)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k], wanted
