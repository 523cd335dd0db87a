"""Several vectors as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit import InputError, combine

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
