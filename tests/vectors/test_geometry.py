"""Isotropy against its definition, pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import embedkit
from embedkit import InputError


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
    assert embedkit.isotropy(vectors) == pytest.approx(by_pairs(vectors), abs=1e-5)


def test_known_sets() -> None:
    assert embedkit.isotropy(np.eye(5)) == pytest.approx(1.0)
    assert embedkit.isotropy(np.ones((4, 3))) == pytest.approx(0.0)
    assert embedkit.isotropy([[1, 0], [-1, 0]]) == pytest.approx(2.0)
    assert embedkit.isotropy([[1e200, 0], [0, 1e-200]]) == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [[1.0, 2.0]], np.zeros((2, 2, 2)), [[1.0, math.nan], [0.0, 1.0]]])
def test_what_has_no_pairs_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="isotropy"):
        embedkit.isotropy(wrong)  # type: ignore[arg-type]
