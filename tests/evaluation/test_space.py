"""Alignment, uniformity and isotropy by their formulas, in loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from embedkit.evaluation import space
from embedkit.evaluation.nearness import unit


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(3).normal(size=(40, 5)) + 0.3)


def test_alignment(vectors):
    expected = [math.dist(a, b) ** 2 for a, b in zip(vectors, vectors[::-1])]
    assert space.alignment(vectors, vectors[::-1]) == pytest.approx(expected)
    assert space.alignment(np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]])) == pytest.approx([4.0])


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
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    sums = [sum(math.exp(sign * float(c @ v)) for v in vectors) for c in directions.T for sign in (1, -1)]
    assert space.isotropy(vectors) == pytest.approx(min(sums) / max(sums))
    assert space.isotropy(np.concatenate([np.eye(3), -np.eye(3)])) == pytest.approx(1.0)
    assert space.isotropy(np.array([[1.0, 0.0]] * 4)) == pytest.approx(math.exp(-2))
