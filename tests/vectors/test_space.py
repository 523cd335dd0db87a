"""Alignment, uniformity and isotropy by their formulas, in loops."""

from __future__ import annotations

import itertools
import math

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from embedkit.errors import InputError
from embedkit.evaluation import space
from embedkit.vectors.geometry import unit
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(3).normal(size=(40, 5)) + 0.3)


def test_alignment(vectors):
    expected = [math.dist(a, b) ** 2 for a, b in zip(vectors, vectors[::-1])]
    assert space.squared_distances(vectors, vectors[::-1]) == pytest.approx(expected)
    assert space.alignment(vectors, vectors[::-1]) == pytest.approx(np.mean(expected))
    assert space.alignment(3 * vectors, 2 * vectors[::-1]) == pytest.approx(np.mean(expected))
    assert space.alignment([[1.0, 0.0]], [[-1.0, 0.0]]) == pytest.approx(4.0)
    assert math.isnan(space.alignment(np.ones((0, 2)), np.ones((0, 2))))


def test_uniformity(vectors, monkeypatch):
    pairs = [math.exp(-2 * math.dist(a, b) ** 2) for a, b in itertools.combinations(vectors, 2)]
    assert space.uniformity(vectors) == pytest.approx(math.log(sum(pairs) / len(pairs)))
    assert space.uniformity(np.eye(2)) == pytest.approx(-4.0)
    assert space.uniformity(np.ones((3, 1))) == pytest.approx(0.0)
    assert math.isnan(space.uniformity(np.ones((1, 2))))
    monkeypatch.setattr(space, "MOST", 30)
    assert space.uniformity(vectors) == space.uniformity(vectors)
    assert space.uniformity(vectors) == pytest.approx(math.log(sum(pairs) / len(pairs)), abs=0.2)


def test_isotropy(vectors):
    cosines = [float(a @ b) for a, b in itertools.permutations(vectors, 2)]
    assert space.isotropy(vectors) == pytest.approx(1 - np.mean(cosines))
    assert space.isotropy(vectors * np.arange(1.0, 41)[:, None]) == pytest.approx(1 - np.mean(cosines))
    assert space.isotropy([[1.0, 0.0]] * 4) == pytest.approx(0.0)
    assert space.isotropy(np.eye(3)) == pytest.approx(1.0)
    assert space.isotropy([[1.0, 0.0], [-1.0, 0.0]]) == pytest.approx(2.0)
    assert math.isnan(space.isotropy(np.ones((1, 2))))


@given(npst.arrays(np.float32, st.tuples(st.integers(2, 12), st.integers(1, 5)), elements=st.floats(-9, 9, width=32)))
def test_bounds(vectors):
    n = len(vectors)
    assert -8 - 1e-6 <= space.uniformity(vectors) <= 1e-6
    assert -1e-6 <= space.isotropy(vectors) <= 1 + 1 / (n - 1) + 1e-6
    assert 0 <= space.alignment(vectors, vectors[::-1]) <= 4 + 1e-6


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
    for measure in (space.uniformity, space.isotropy, lambda v: space.alignment(v, v)):
        with pytest.raises(InputError, match="dense ones|finite numbers of shape"):
            measure(vectors)


def test_alignment_of_two_shapes():
    with pytest.raises(InputError, match=r"expected two arrays of one shape, found \(3, 3\) and \(2, 2\)"):
        space.alignment(np.eye(3), np.eye(2))
