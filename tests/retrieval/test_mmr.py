"""Maximal marginal relevance, by its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedkit.retrieval.mmr import diverse


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 1000))
def test_maximal_marginal_relevance(n, count, diversity, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 4))
    near, scores = vectors @ vectors.T, rng.normal(size=n)
    expected: list[int] = []
    while len(expected) < min(n, count):
        value = {
            i: (1 - diversity) * scores[i] - (diversity * max(near[i, j] for j in expected) if expected else 0)
            for i in range(n)
            if i not in expected
        }
        expected.append(max(value, key=lambda i: (value[i], -i)))
    assert diverse(scores, near, diversity, count) == expected
