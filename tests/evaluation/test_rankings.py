"""Rankings in loops, and their measures against scikit-learn, a transcription of trec_eval, and cases counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.evaluation.rankings import DEPTH, judged, nearest
from helpers.measured import Written

pytest.importorskip("pytrec_eval")
ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score


def mean(rankings, relevant, at=(10,)):
    found = judged([np.array(ranking, dtype=np.intp) for ranking in rankings], relevant, at)
    return {name: float(values.mean()) for name, values in found.items()}


def by_definition(ranking: list[int], grades: dict[int, int], k: int) -> dict[str, float]:
    """The formulas, one document after the other."""
    gained = sum(grades.get(d, 0) / math.log2(rank + 2) for rank, d in enumerate(ranking[:k]))
    ideal = sorted(grades.values(), reverse=True)[:k]
    hits = [d in grades for d in ranking]
    return {
        f"ndcg@{k}": gained / sum(grade / math.log2(rank + 2) for rank, grade in enumerate(ideal)),
        f"recall@{k}": sum(hits[:k]) / len(grades),
        f"precision@{k}": sum(hits[:k]) / k,
        f"mrr@{k}": next((1 / rank for rank, hit in enumerate(hits[:k], 1) if hit), 0.0),
        "map@1000": sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / len(grades),
    }


def test_by_hand():
    assert mean([[0, 1, 2]], [{0: 1}])["ndcg@10"] == 1.0
    assert mean([[0, 1, 2]], [{1: 1}])["ndcg@10"] == pytest.approx(1 / math.log2(3))
    assert mean([[0, 1, 2]], [{2: 1}], (2,))["ndcg@2"] == 0.0
    expected = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert mean([[0, 1, 2]], [{1: 3, 0: 1}])["ndcg@10"] == pytest.approx(expected)
    # The ideal holds relevant documents that the first k have no room for, and recall's denominator is not cut.
    assert mean([[0, 1, 2]], [{0: 1, 1: 1, 2: 1}], (1,))["ndcg@1"] == 1.0
    assert mean([[0, 1, 2]], [{0: 1, 1: 1, 2: 1, 9: 1}], (2,))["recall@2"] == 0.5


@st.composite
def searches(draw):
    documents = draw(st.integers(1, 15))
    rankings = draw(st.lists(st.permutations(range(documents)), min_size=1, max_size=4))
    graded = st.dictionaries(st.integers(0, documents - 1), st.integers(1, 5), min_size=1)
    return rankings, [draw(graded) for _ in rankings], draw(st.integers(1, 20))


@given(searches())
@settings(deadline=None, max_examples=60)
def test_by_definition(case):
    rankings, relevant, k = case
    each = [by_definition(ranking, grades, k) for ranking, grades in zip(rankings, relevant, strict=True)]
    found = mean(rankings, relevant, (k,))
    for name in each[0]:
        assert found[name] == pytest.approx(np.mean([one[name] for one in each]), abs=1e-9)


def test_like_sklearn_where_nothing_ties():
    random = np.random.default_rng(3)
    scores = random.permutation(300 * 60).reshape(300, 60).astype(np.float32)  # more than one block of queries
    grades = random.integers(0, 4, (300, 60))
    grades[:, 0] = 1
    relevant = [{int(d): int(row[d]) for d in np.flatnonzero(row)} for row in grades]
    found = mean(np.argsort(-scores, axis=1), relevant, (1, 10, 100))
    for k in (1, 10, 100):
        assert found[f"ndcg@{k}"] == pytest.approx(ndcg_score(grades, scores, k=k), abs=1e-9)


@pytest.mark.parametrize("sizes", [(50,), (7, 30, 13), (1,) * 50])
def test_equal_scores_are_ranked_by_their_place_whatever_the_windows(sizes):
    documents = np.random.default_rng(0).integers(-1, 2, (50, 3)).astype(np.float32)
    queries = np.random.default_rng(1).integers(-1, 2, (6, 3)).astype(np.float32)
    encoder = Written({"a": (1, 0, 0)})
    windows = np.split(documents, np.cumsum(sizes)[:-1])
    for ranking, query in zip(nearest(encoder, queries, windows, fn="dot"), queries, strict=True):
        scores = documents @ query
        assert ranking.tolist() == sorted(range(50), key=lambda d: (-scores[d], d))
    few = nearest(encoder, queries, windows, own=[3, -1, 49, 0, 5, -1], fn="dot", depth=4)
    for ranking, query, own in zip(few, queries, (3, -1, 49, 0, 5, -1), strict=True):
        scores = documents @ query
        assert ranking.tolist() == sorted((d for d in range(50) if d != own), key=lambda d: (-scores[d], d))[:4]


def test_no_more_than_the_depth():
    (ranking,) = nearest(Written({"a": (1, 0)}), np.ones((1, 2), np.float32), [np.ones((DEPTH + 5, 2), np.float32)])
    assert ranking.tolist() == list(range(DEPTH))


def test_what_cannot_be_ranked():
    encoder = Written({"a": (1, 0)})
    window = np.array([[1.0, 2.0], [np.nan, 0.0]], dtype=np.float32)
    with pytest.raises(InputError, match="document vectors: expected finite numbers, found NaN or infinity in row 1"):
        nearest(encoder, np.ones((1, 2), np.float32), [window])
    encoder = Written({"a": (1, 0)})
    encoder._roles["default"].outputs["first"] = type(encoder.outputs()["first"])(kind="sparse", dim=2)
    with pytest.raises(InputError, match="compares dense vectors"):
        nearest(encoder, np.ones((1, 2), np.float32), [window], fn="dot")
