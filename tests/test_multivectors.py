"""MaxSim by its definition, and exactly the same whatever is scored together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import InputError, MultiVectors

LENGTHS = (1, 2, 3, 0, 5, 8, 13, 32, 33, 90)


def some(dim: int, seed: int, scale: float = 1.0) -> MultiVectors:
    rng = np.random.default_rng(seed)
    return MultiVectors.of([scale * rng.normal(size=(n, dim)) for n in rng.permutation(LENGTHS)])


def by_definition(a: MultiVectors, b: MultiVectors) -> np.ndarray:
    """In float64, pair by pair."""
    out = np.zeros((len(a), len(b)))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            if len(one) and len(other):
                out[i, j] = np.einsum("qd,kd->qk", one.astype(np.float64), other.astype(np.float64)).max(axis=1).sum()
    return out


@given(st.integers(1, 300), st.integers(0, 1000), st.sampled_from([1e-12, 1.0, 1e8]))
@settings(max_examples=30, deadline=None)
def test_maxsim_is_its_definition(dim: int, seed: int, scale: float) -> None:
    a, b = some(dim, seed, scale), some(dim, seed + 1)
    wanted = by_definition(a, b)
    assert np.abs(a.maxsim(b) - wanted).max() <= 1e-6 * max(np.abs(wanted).max(), 1e-30)


@pytest.mark.parametrize("dim", [1, 7, 24, 96, 128, 768, 1024])
def test_a_score_does_not_depend_on_what_is_scored_with_it(dim: int) -> None:
    a, b = some(dim, 1), some(dim, 2)
    together = a.maxsim(b)
    order = np.random.default_rng(3).permutation(len(b))
    assert a.maxsim(b[order]).tobytes() == together[:, order].tobytes()
    for i in range(len(a)):
        for j in range(len(b)):
            assert a[i : i + 1].maxsim(b[j : j + 1])[0, 0] == together[i, j]


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="found 3 and 4"):
        some(3, 0).maxsim(some(4, 0))
