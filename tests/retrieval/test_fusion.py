"""Fusion against numpy and against Qdrant's client, which fuses in Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.retrieval.fusion import METHODS, dbsf, fuse, minmax, rrf, scaled

IDS = "abcdefghij"
scores = st.integers(-40, 40).map(lambda n: n / 8)
rankings = st.lists(st.dictionaries(st.sampled_from(IDS), scores, max_size=10), min_size=1, max_size=4)
weights = st.lists(st.integers(1, 8).map(lambda n: n / 4), min_size=4, max_size=4)
methods = pytest.mark.parametrize("method", METHODS)


def reference(lists, weights, method):
    """Dense numpy: one row a ranking, one column an id, NaN where it is missing."""
    table = np.array([[ranking.get(row_id, np.nan) for row_id in IDS] for ranking in lists])
    out = np.zeros_like(table)
    for row, (values, weight) in enumerate(zip(table, weights, strict=True)):
        found = ~np.isnan(values)
        known = values[found]
        if not len(known):
            continue
        if method == "rrf":
            part = 1 / (60 + 1 + (known[None, :] > known[:, None]).sum(axis=1))
        elif np.all(known == known[0]):
            part = np.full(len(known), 1.0 if method == "minmax" else 0.5)
        elif method == "minmax":
            part = (known - known.min()) / (known.max() - known.min())
        else:
            low, high = known.mean() - 3 * known.std(ddof=1), known.mean() + 3 * known.std(ddof=1)
            part = np.maximum((known - low) / (high - low), 0)
        out[row, found] = weight * part
    total = out.sum(axis=0) / (1 if method == "rrf" else sum(weights))
    seen = (~np.isnan(table)).any(axis=0)
    return {row_id: total[i] for i, row_id in enumerate(IDS) if seen[i]}


@methods
@given(lists=rankings, given_weights=weights)
def test_equals_numpy(method, lists, given_weights):
    given_weights = given_weights[: len(lists)]
    assert fuse(lists, method, given_weights) == pytest.approx(reference(lists, given_weights, method), abs=1e-12)
    assert fuse(lists, method) == pytest.approx(reference(lists, [1.0] * len(lists), method), abs=1e-12)


@methods
@given(lists=rankings)
def test_the_best_come_first_and_equals_by_id(method, lists):
    fused = fuse(lists, method)
    assert list(fused.items()) == sorted(fused.items(), key=lambda item: (-item[1], item[0]))
    assert set(fused) == {row_id for ranking in lists for row_id in ranking}
    assert all(score >= 0 for score in fused.values())


@methods
@given(lists=rankings, factor=st.sampled_from([0.25, 2.0, 8.0]), shift=st.integers(-8, 8))
def test_only_the_shape_of_a_rankings_scores_counts(method, lists, factor, shift):
    moved = [{row_id: factor * score + shift for row_id, score in lists[0].items()}, *lists[1:]]
    assert fuse(moved, method) == pytest.approx(fuse(lists, method), abs=1e-9)


@given(lists=rankings)
def test_ranks_alone_count_for_rrf(lists):
    bent = [{row_id: np.exp(score) for row_id, score in ranking.items()} for ranking in lists]
    assert rrf(bent) == rrf(lists)


@methods
@given(lists=rankings, given_weights=weights)
def test_order_means_nothing(method, lists, given_weights):
    given_weights = given_weights[: len(lists)]
    turned = [dict(reversed(ranking.items())) for ranking in reversed(lists)]
    assert fuse(turned, method, given_weights[::-1]) == pytest.approx(fuse(lists, method, given_weights), abs=1e-12)


@methods
@given(lists=rankings)
def test_a_ranking_without_weight_or_rows_changes_no_score(method, lists):
    plain = fuse(lists, method, [1.0] * len(lists))
    with_zero = fuse([*lists, {"a": 1.0, "b": 0.5}], method, [1.0] * len(lists) + [0.0])
    assert {row_id: with_zero[row_id] for row_id in plain} == plain
    assert all(with_zero[row_id] == 0 for row_id in with_zero if row_id not in plain)
    if method == "rrf":
        assert rrf([*lists, {}]) == plain


@given(lists=rankings)
def test_the_weighted_mean_of_minmax_is_between_0_and_1(lists):
    assert all(0 <= score <= 1 + 1e-12 for score in minmax(lists).values())


def test_what_is_said_about_single_and_equal_scores():
    assert rrf([{"a": 9.0, "b": 9.0, "c": 1.0}]) == {"a": 1 / 61, "b": 1 / 61, "c": 1 / 63}
    assert minmax([{"a": 5.0}, {"b": -1.0, "c": -1.0}]) == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert dbsf([{"a": 5.0}, {"b": -1.0, "c": -1.0}]) == {"a": 0.25, "b": 0.25, "c": 0.25}
    assert minmax([{"a": 2.0, "b": 1.0}, {"b": 7.0, "c": 3.0}]) == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert rrf([{"a": 1.0}, {"a": 1.0}], k=1) == {"a": 1.0}
    assert scaled([]) == []
    assert scaled([3.0, 1.0, 2.0]) == [1.0, 0.0, 0.5]
    for method in METHODS:
        assert fuse([{}, {}], method) == {}
        assert fuse([], method) == {}


def test_a_score_far_above_the_others_keeps_its_distance_and_none_is_negative():
    fused = dbsf([{str(i): 0.0 for i in range(50)} | {"top": 100.0}])
    assert fused["top"] > 1
    assert dbsf([{str(i): 0.0 for i in range(50)} | {"last": -100.0}])["last"] == 0


@methods
def test_huge_scores(method):
    fused = fuse([{"a": 1.7e308, "b": -1.7e308, "c": 0.0}], method)
    assert list(fused) == ["a", "c", "b"]
    assert all(np.isfinite(score) for score in fused.values())


@settings(deadline=None)
@given(lists=rankings)
def test_equals_qdrants_client(lists):
    """Whose ranks are places in a list, and whose scores are sums."""
    pytest.importorskip("qdrant_client")
    from qdrant_client.http.models import ScoredPoint
    from qdrant_client.hybrid import fusion

    def points():
        return [
            [
                ScoredPoint(id=IDS.index(row_id), version=0, score=score)
                for row_id, score in sorted(ranking.items(), key=lambda item: -item[1])
            ]
            for ranking in lists
        ]

    theirs = {IDS[p.id]: p.score for p in fusion.distribution_based_score_fusion(points(), 100)}
    assert {row_id: len(lists) * score for row_id, score in dbsf(lists).items()} == pytest.approx(theirs, abs=1e-9)
    if all(len(set(ranking.values())) == len(ranking) for ranking in lists):
        theirs = {IDS[p.id]: p.score for p in fusion.reciprocal_rank_fusion(points(), 100, ranking_constant_k=61)}
        assert rrf(lists) == pytest.approx(theirs)


@methods
@pytest.mark.parametrize(
    ("given_weights", "said"),
    [
        ([1.0], "expected 2, one for each ranking"),
        ([0.0, 0.0], "not all of them 0"),
        ([-1.0, 2.0], "at least 0"),
        ([float("nan"), 1.0], "at least 0"),
        ([float("inf"), 1.0], "at least 0"),
    ],
)
def test_what_can_be_no_weights(method, given_weights, said):
    with pytest.raises(InputError, match=said):
        fuse([{"a": 1.0}, {"b": 1.0}], method, given_weights)


@methods
@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_what_can_be_no_score(method, score):
    with pytest.raises(InputError, match="ranking 1: expected finite scores"):
        fuse([{"a": 1.0}, {"b": score}], method)


def test_what_is_no_method():
    with pytest.raises(InputError, match="expected one of rrf, minmax, dbsf, found 'mean'"):
        fuse([], "mean")
    for k in (-1, float("nan"), "60"):
        with pytest.raises(InputError, match="k: expected"):
            rrf([], k=k)
