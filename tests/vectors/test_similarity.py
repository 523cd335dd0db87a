"""Scores of pairs against a double loop of Python's floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embedkit.errors import InputError
from embedkit.vectors.similarity import powered, rescore, score_maps, similarity

exact = st.integers(-64, 64).map(float)  # their products and sums are exact in float32


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    dim = draw(st.integers(1, 7))
    return tuple(  # type: ignore[return-value]
        draw(hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(dim)), elements=exact)) for _ in range(2)
    )


def by_definition(a: list[float], b: list[float], fn: str) -> float:
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    if fn == "dot":
        return dot
    if fn == "euclidean":
        return -math.dist(a, b)
    lengths = math.hypot(*a) * math.hypot(*b)
    return dot / lengths if lengths else 0.0


@pytest.mark.parametrize("fn", ["cosine", "dot", "euclidean"])
@given(given=pairs())
def test_scores_are_those_of_the_definition(fn: str, given: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = given
    found = similarity(a, b, fn=fn)
    expected = [[by_definition(x.tolist(), y.tolist(), fn) for y in b] for x in a]
    assert (found.dtype, found.shape) == (np.float32, (len(a), len(b)))
    assert np.allclose(found, expected, atol=1e-5)


def test_one_vector_counts_as_one_row() -> None:
    assert similarity([1.0, 0.0], [[0.0, 1.0], [2.0, 0.0]]).tolist() == [[0.0, 1.0]]
    assert rescore([1.0, 2.0], [[3.0, 4.0]], precision="float32").tolist() == [11.0]


@pytest.mark.parametrize(
    ("a", "b", "fn", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0, 3.0]], "cosine", r"one dimension, found \(1, 2\) and \(1, 3\)"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2)), "dot", "one dimension"),
        ([[1.0]], [[1.0]], "manhattan", "fn: expected one of cosine, dot, euclidean, hamming, found 'manhattan'"),
    ],
)
def test_what_cannot_be_compared(a: object, b: object, fn: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        similarity(a, b, fn=fn)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("queries", "candidates", "message"),
    [
        (np.ones((2, 3), np.int8), np.ones((4, 3)), "expected float queries"),
        (np.ones((1, 2, 3)), np.ones((4, 3)), "expected float queries"),
        (np.ones((2, 3)), np.ones((3, 4, 3)), r"or \(2, m, width\), found \(3, 4, 3\)"),
        (np.ones((2, 3)), np.ones(3), "expected candidates of shape"),
    ],
)
def test_what_cannot_be_rescored(queries: np.ndarray, candidates: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rescore(queries, candidates, precision="float32")


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
