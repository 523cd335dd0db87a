"""The metrics against scipy, scikit-learn, a plain transcription of trec_eval, and cases counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

from embedkit import InputError
from embedkit_export.verification.measures import ndcg, recall, spearman


def scored(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def ranked(row: np.ndarray) -> list[int]:
    return sorted(range(len(row)), key=lambda index: (-float(row[index]), index))


def plain_ndcg(scores: np.ndarray, relevant: list[dict[int, float]], k: int) -> float:
    values = []
    for row, grades in zip(scores, relevant, strict=True):
        gained = sum(grades.get(d, 0) / math.log2(rank + 2) for rank, d in enumerate(ranked(row)[:k]))
        ideal = sorted(grades.values(), reverse=True)[:k]
        values.append(gained / sum(grade / math.log2(rank + 2) for rank, grade in enumerate(ideal)))
    return sum(values) / len(values)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_spearman_is_scipys_with_and_without_ties(levels: int) -> None:
    random = np.random.default_rng(levels)
    for size in (2, 3, 10, 400):
        a = random.integers(0, levels, size) + np.eye(1, size)[0] * levels  # not all equal
        b = a + random.integers(0, levels, size) + np.eye(1, size)[0] * 0.5
        assert spearman(a, b.astype(np.float32)) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_spearman_by_hand() -> None:
    assert spearman([1, 2, 3], [10, 20, 30]) == 1.0
    assert spearman([1, 2, 3], [3, 2, 1]) == -1.0
    assert spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / (4 * 15))
    # Ranks 1.5, 1.5, 3 and 1, 2, 3: covariance 1.5, variances 1.5 and 2.
    assert spearman([5, 5, 9], [0, 1, 2]) == pytest.approx(1.5 / math.sqrt(3))


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=30))
@settings(deadline=None, max_examples=100)
def test_spearman_sees_ranks_only(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=np.float64).T
    if len(set(a)) < 2 or len(set(b)) < 2:
        with pytest.raises(InputError, match="expected different values"):
            spearman(a, b)
        return
    value = spearman(a, b)
    assert -1 <= value <= 1
    assert spearman(b, a) == pytest.approx(value, abs=1e-12)
    assert spearman(np.exp(a), b**3) == pytest.approx(value, abs=1e-12)
    assert spearman(-a, b) == pytest.approx(-value, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 2.0], [1.0], r"found shapes \(2,\) and \(1,\)"),
        ([1.0], [1.0], "at least two values"),
        ([1.0, math.nan, 2.0], [1.0, 2.0, 3.0], "found NaN at 1"),
        ([1.0, 2.0, 3.0], [4.0, 4.0, 4.0], "found 4 in all 3 places"),
        ([[1.0, 2.0]], [[1.0, 2.0]], "same length"),
    ],
)
def test_spearman_refuses_what_is_undefined(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spearman(a, b)


def test_ndcg_by_hand() -> None:
    scores = scored([0.9, 0.8, 0.1])
    assert ndcg(scores, [{0: 1}]) == 1.0
    assert ndcg(scores, [{1: 1}]) == pytest.approx(1 / math.log2(3))
    assert ndcg(scores, [{2: 1}], k=2) == 0.0
    assert ndcg(scores, [{1: 3, 0: 1}]) == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))
    assert ndcg(scored([0.9, 0.1], [0.1, 0.9]), [{0: 1}, {0: 1}]) == pytest.approx((1 + 1 / math.log2(3)) / 2)
    # The ideal holds relevant documents that the first k have no room for.
    assert ndcg(scores, [{0: 1, 1: 1, 2: 1}], k=1) == 1.0
    assert ndcg(scores, [{0: 1, 1: 0, 2: -2}]) == 1.0


def test_recall_by_hand() -> None:
    scores = scored([0.9, 0.8, 0.1, 0.0])
    assert recall(scores, [{0: 1, 2: 5}], k=1) == 0.5
    assert recall(scores, [{0: 1, 2: 5}], k=3) == 1.0
    assert recall(scores, [{0: 1, 1: 1, 2: 1, 3: 1}], k=2) == 0.5
    assert recall(scores, [{0: 1, 3: 0}], k=2) == 1.0


def test_equal_scores_are_ranked_by_index() -> None:
    scores = np.zeros((1, 50), dtype=np.float32)
    assert recall(scores, [{9: 1}], k=10) == 1.0
    assert recall(scores, [{10: 1}], k=10) == 0.0
    assert ndcg(scores, [{3: 1}]) == pytest.approx(1 / math.log2(5))


def test_ndcg_is_sklearns_where_nothing_ties() -> None:
    random = np.random.default_rng(3)
    scores = random.permutation(20 * 60).reshape(20, 60).astype(np.float32)
    grades = random.integers(0, 4, (20, 60))
    relevant = [{int(d): float(row[d]) for d in np.flatnonzero(row)} for row in grades]
    for k in (1, 10, 100):
        assert ndcg(scores, relevant, k) == pytest.approx(ndcg_score(grades, scores, k=k), abs=1e-12)


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, list[dict[int, float]], int]:
    documents = draw(st.integers(1, 15))
    row = st.lists(st.integers(0, 3), min_size=documents, max_size=documents)
    rows = draw(st.lists(row, min_size=1, max_size=4))
    graded = st.dictionaries(st.integers(0, documents - 1), st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=1)
    return scored(*rows), [draw(graded) for _ in rows], draw(st.integers(1, 20))


@given(searches())
@settings(deadline=None, max_examples=100)
def test_searches_are_counted_as_plainly(case: tuple[np.ndarray, list[dict[int, float]], int]) -> None:
    scores, relevant, k = case
    shares = [
        len(set(ranked(row)[:k]) & grades.keys()) / len(grades) for row, grades in zip(scores, relevant, strict=True)
    ]
    assert ndcg(scores, relevant, k) == pytest.approx(plain_ndcg(scores, relevant, k), abs=1e-12)
    assert recall(scores, relevant, k) == pytest.approx(sum(shares) / len(shares), abs=1e-12)


@pytest.mark.parametrize("metric", [ndcg, recall])
@pytest.mark.parametrize(
    ("scores", "relevant", "k", "message"),
    [
        (scored([1, 2]), [{0: 1}, {1: 1}], 10, r"each of 2 queries .* found shape \(1, 2\)"),
        (scored([1, 2])[0], [{0: 1}], 10, r"found shape \(2,\)"),
        (np.zeros((0, 3), np.float32), [], 10, "at least one"),
        (scored([1, 2], [1, math.nan]), [{0: 1}, {1: 1}], 10, "NaN for query 1"),
        (scored([1, 2]), [{}], 10, "query 0: expected at least one relevant"),
        (scored([1, 2]), [{1: 0}], 10, "query 0: expected at least one relevant"),
        (scored([1, 2]), [{2: 1}], 10, r"expected documents 0 to 1, found \[2\]"),
        (scored([1, 2]), [{-1: 1}], 10, "expected documents 0 to 1"),
        (scored([1, 2]), [{0: 1}], 0, "k: expected at least 1"),
    ],
)
def test_searches_that_cannot_be_counted(metric, scores, relevant, k, message) -> None:
    with pytest.raises(InputError, match=message):
        metric(scores, relevant, k)
