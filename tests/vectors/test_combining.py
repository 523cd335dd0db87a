"""Several vectors as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit import InputError, combine, powered, score_maps

ROWS = np.random.default_rng(0).standard_normal((3, 4, 8)).astype(np.float32) * [[[1.0], [3.0], [0.2], [7.0]]]


def test_the_mean_the_sum_and_the_largest() -> None:
    rows = ROWS[0]
    assert np.allclose(combine(rows), rows.mean(axis=0), atol=1e-6)
    assert np.allclose(combine(rows, "sum"), rows.sum(axis=0), atol=1e-5)
    assert np.array_equal(combine(rows, "max"), rows.max(axis=0).astype(np.float32))
    weights = [1, 0, 2, 1]
    assert np.allclose(combine(rows, weights=weights), np.average(rows, axis=0, weights=weights), atol=1e-6)


def test_unit_length_before_and_after() -> None:
    rows = ROWS[0]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean = unit.mean(axis=0)
    assert np.allclose(combine(rows, normalize=True, first=True), mean / np.linalg.norm(mean), atol=1e-6)
    after = rows.mean(axis=0) / np.linalg.norm(rows.mean(axis=0))
    assert np.allclose(combine(rows, normalize=True), after, atol=1e-6)
    assert np.abs(combine(rows, normalize=True) - combine(rows, normalize=True, first=True)).max() > 0.01


def test_several_groups_at_once() -> None:
    found = combine(ROWS, normalize=True, first=True)
    assert found.shape == (3, 8)
    for group, row in zip(ROWS, found, strict=True):
        assert np.allclose(row, combine(group, normalize=True, first=True), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ([1.0, 2.0], {}),
        (np.empty((0, 3)), {}),
        ([[np.nan, 1.0]], {}),
        ("words", {}),
        ([[1.0, 2.0]], {"how": "median"}),
        ([[1.0, 2.0]], {"weights": [1, 2]}),
        ([[1.0, 2.0]], {"weights": [-1]}),
        ([[1.0, 2.0]], {"weights": [0]}),
    ],
)
def test_what_cannot_be_combined(given: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="combine"):
        combine(given, **options)


def test_probabilities_of_two_models_are_one() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.uniform(0, 1, (2, 5, 3)).astype(np.float32)
    for weight in (0.0, 0.35, 1.0):
        found = powered(p, q, weight)
        assert found.dtype == np.float32
        assert np.abs(found - p.astype(np.float64) ** (1 - weight) * q.astype(np.float64) ** weight).max() < 1e-6
    assert powered([0.0], [1.0], 0.5).tolist() == [0.0]


@pytest.mark.parametrize(
    ("p", "q", "weight", "problem"),
    [
        ([0.5], [0.5, 0.5], 0.5, "arrays of one shape"),
        ([1.5], [0.5], 0.5, "probabilities from 0 to 1"),
        ([-0.1], [0.5], 0.5, "probabilities from 0 to 1"),
        ([float("nan")], [0.5], 0.5, "probabilities from 0 to 1"),
        ([0.5], [0.5], 1.5, "a number from 0 to 1"),
        (["a"], [0.5], 0.5, "arrays of probabilities"),
    ],
)
def test_what_is_no_probability_is_named(p: Any, q: Any, weight: float, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        powered(p, q, weight)


def test_places_are_scored_by_vectors() -> None:
    rng = np.random.default_rng(0)
    maps, vectors = rng.normal(size=(2, 3, 4, 5)).astype(np.float32), rng.normal(size=(6, 5)).astype(np.float32)
    found = score_maps(maps, vectors)
    assert found.shape == (2, 3, 4, 6)
    assert abs(found[1, 2, 3, 4] - maps[1, 2, 3] @ vectors[4]) < 1e-5
    for wrong in (maps[0], maps[..., :4]):
        with pytest.raises(InputError, match="score_maps: expected"):
            score_maps(wrong, vectors)
