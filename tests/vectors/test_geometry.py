"""Alignment, uniformity and isotropy by their formulas, in loops over pairs."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import embedkit
from embedkit import InputError, combine, evaluation
from embedkit.vectors import geometry
from embedkit.vectors.geometry import alignment, isotropy, squared_distances, uniformity, unit
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors


def by_pairs(vectors: np.ndarray) -> float:
    """A double loop over pairs of rows."""
    cosines = []
    for i, a in enumerate(vectors):
        for j, b in enumerate(vectors):
            if i != j:
                lengths = math.hypot(*map(float, a)) * math.hypot(*map(float, b))
                product = math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))
                cosines.append(product / lengths if lengths else 0.0)
    return 1.0 - math.fsum(cosines) / len(cosines)


numbers = st.floats(-1e4, 1e4, width=32).filter(lambda x: x == 0 or abs(x) > 1e-4)


@given(hnp.arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(1, 6)), elements=numbers))
def test_isotropy_is_one_minus_the_mean_cosine_of_pairs(vectors: np.ndarray) -> None:
    assert isotropy(vectors) == pytest.approx(by_pairs(vectors), abs=1e-5)


def test_known_sets() -> None:
    assert isotropy(np.eye(5)) == pytest.approx(1.0)
    assert isotropy(np.ones((4, 3))) == pytest.approx(0.0)
    assert isotropy([[1, 0], [-1, 0]]) == pytest.approx(2.0)
    assert isotropy([[1e200, 0], [0, 1e-200]]) == pytest.approx(1.0)


def test_one_function_by_both_names() -> None:
    assert embedkit.isotropy is evaluation.isotropy is isotropy


@pytest.mark.parametrize("few", [np.zeros((0, 4)), [[1.0, 2.0]], np.zeros((1, 3))])
def test_without_a_pair_nothing_is_defined(few: object) -> None:
    assert math.isnan(isotropy(few))  # type: ignore[arg-type]
    assert math.isnan(uniformity(few))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [[1.0, 2.0], np.zeros((2, 2, 2)), [[1.0, math.nan], [0.0, 1.0]], [[math.inf, 1.0]]])
def test_what_is_no_set_of_vectors_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="expected finite numbers of shape"):
        isotropy(wrong)  # type: ignore[arg-type]


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(3).normal(size=(40, 5)) + 0.3)


def test_alignment(vectors):
    expected = [math.dist(a, b) ** 2 for a, b in zip(vectors, vectors[::-1])]
    assert squared_distances(vectors, vectors[::-1]) == pytest.approx(expected)
    assert alignment(vectors, vectors[::-1]) == pytest.approx(np.mean(expected))
    assert alignment(3 * vectors, 2 * vectors[::-1]) == pytest.approx(np.mean(expected))
    assert alignment([[1.0, 0.0]], [[-1.0, 0.0]]) == pytest.approx(4.0)
    assert math.isnan(alignment(np.ones((0, 2)), np.ones((0, 2))))


def test_uniformity(vectors, monkeypatch):
    pairs = [math.exp(-2 * math.dist(a, b) ** 2) for a, b in itertools.combinations(vectors, 2)]
    assert uniformity(vectors) == pytest.approx(math.log(sum(pairs) / len(pairs)))
    assert uniformity(np.eye(2)) == pytest.approx(-4.0)
    assert uniformity(np.ones((3, 1))) == pytest.approx(0.0)
    assert math.isnan(uniformity(np.ones((1, 2))))
    monkeypatch.setattr(geometry, "MOST", 30)
    assert uniformity(vectors) == uniformity(vectors)
    assert uniformity(vectors) == pytest.approx(math.log(sum(pairs) / len(pairs)), abs=0.2)


def test_isotropy_by_its_formula(vectors):
    cosines = [float(a @ b) for a, b in itertools.permutations(vectors, 2)]
    assert isotropy(vectors) == pytest.approx(1 - np.mean(cosines))
    assert isotropy(vectors * np.arange(1.0, 41)[:, None]) == pytest.approx(1 - np.mean(cosines))
    assert isotropy([[1.0, 0.0]] * 4) == pytest.approx(0.0)
    assert isotropy(np.eye(3)) == pytest.approx(1.0)
    assert isotropy([[1.0, 0.0], [-1.0, 0.0]]) == pytest.approx(2.0)
    assert math.isnan(isotropy(np.ones((1, 2))))


@given(hnp.arrays(np.float32, st.tuples(st.integers(2, 12), st.integers(1, 5)), elements=st.floats(-9, 9, width=32)))
def test_bounds(vectors):
    n = len(vectors)
    assert -8 - 1e-6 <= uniformity(vectors) <= 1e-6
    assert -1e-6 <= isotropy(vectors) <= 1 + 1 / (n - 1) + 1e-6
    assert 0 <= alignment(vectors, vectors[::-1]) <= 4 + 1e-6


@pytest.mark.parametrize(
    "vectors",
    [
        SparseVectors.of(np.eye(3)),
        MultiVectors.of([np.eye(3)]),
        np.ones(3),
        np.array([[1.0, np.nan]]),
    ],
)
def test_other_kinds(vectors):
    for measure in (uniformity, isotropy, lambda v: alignment(v, v)):
        with pytest.raises(InputError, match="dense ones|finite numbers of shape"):
            measure(vectors)


def test_alignment_of_two_shapes():
    with pytest.raises(InputError, match=r"expected two arrays of one shape, found \(3, 3\) and \(2, 2\)"):
        alignment(np.eye(3), np.eye(2))


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
