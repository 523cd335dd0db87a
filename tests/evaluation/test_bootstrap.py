"""Intervals by the bootstrap, against numpy's draws and percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.evaluation.bootstrap import interval, resampled
from embedkit.evaluation.tasks.task import Measured

VALUES = np.random.default_rng(0).normal(size=40)
MEAN = Measured(40, lambda rows: {"mean": float(VALUES[rows].mean()), "first": float(rows[0])})


def test_a_draw_has_as_many_units_as_there_are_with_replacement():
    seen = []
    resampled(Measured(40, lambda rows: seen.append(rows) or {}), resamples=50, seed=3)
    assert {len(rows) for rows in seen} == {40}
    assert all(rows.min() >= 0 and rows.max() < 40 for rows in seen)
    # A unit is missing from a draw with probability (1 - 1/40)^40, about 0.363.
    assert np.mean([len(set(rows.tolist())) for rows in seen]) == pytest.approx(40 * (1 - 0.363), abs=1.5)


def test_the_same_seed_draws_the_same_units_for_every_encoder():
    one, two, other = (resampled(MEAN, resamples=30, seed=seed) for seed in (1, 1, 2))
    assert {name: values.tolist() for name, values in one.items()} == {name: v.tolist() for name, v in two.items()}
    assert one["first"].tolist() != other["first"].tolist()
    # Another measure of the same number of units sees the same draws.
    rows = resampled(Measured(40, lambda rows: {"first": float(rows[0])}), resamples=30, seed=1)
    assert rows["first"].tolist() == one["first"].tolist()


def test_the_deviation_is_that_of_a_mean():
    found = resampled(MEAN, resamples=3_000, seed=0)["mean"]
    assert found.std() == pytest.approx(VALUES.std() / np.sqrt(40), rel=0.06)


def test_percentiles():
    values = np.arange(101.0)
    assert interval(values, 0.9) == pytest.approx((5.0, 95.0))
    assert interval(values, 0.5) == pytest.approx((25.0, 75.0))


@pytest.mark.parametrize(("undefined", "known"), [(0, True), (50, True), (51, False), (101, False)])
def test_what_is_undefined_on_most_draws_has_no_interval(undefined, known):
    values = np.arange(101.0)
    values[:undefined] = np.nan
    found = interval(values, 0.95)
    assert (found is not None) == known
    if known:
        assert undefined <= found[0] < found[1] <= 100


def test_no_draws():
    assert interval(np.empty(0), 0.95) is None
    assert resampled(MEAN, resamples=0, seed=0) == {}
