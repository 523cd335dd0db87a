"""Unit length and truncation, against numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embedkit.errors import InputError
from embedkit.vectors.arrays import truncate, unit_length

numbers = st.floats(-(2.0**50), 2.0**50, width=32).filter(lambda x: x == 0 or abs(x) > 1e-15)
matrices = hnp.arrays(np.float32, st.tuples(st.integers(0, 8), st.integers(1, 9)), elements=numbers)


@given(matrices)
def test_rows_have_unit_length_or_stay_zero(vectors: np.ndarray) -> None:
    before = vectors.copy()
    found = unit_length(vectors)
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    expected = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=2e-5, rtol=0)
    assert np.array_equal(vectors, before), "what was given stays"
    again = unit_length(found)
    assert again.tobytes() == found.tobytes(), "what has unit length stays bit for bit"


def test_only_the_rows_that_need_it_change() -> None:
    vectors = np.array([[0.6, 0.8], [3, 4], [0, 0], [1.000004, 0]], np.float32)
    found = unit_length(vectors)
    assert found[[0, 2, 3]].tobytes() == vectors[[0, 2, 3]].tobytes()
    assert np.allclose(found[1], [0.6, 0.8])
    kept = vectors[[0, 2]]
    assert unit_length(kept) is kept


@given(matrices, st.data())
def test_truncation_is_the_beginning(vectors: np.ndarray, data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, vectors.shape[1]))
    cut = truncate(vectors, dim, normalize=False)
    assert np.array_equal(cut, vectors[:, :dim])
    assert cut.flags.c_contiguous
    if dim < vectors.shape[1]:
        assert np.array_equal(truncate(vectors, dim, normalize=True), unit_length(cut))
    else:
        assert truncate(vectors, dim, normalize=True) is vectors, "nothing is cut, nothing is scaled"


@pytest.mark.parametrize("dim", [0, 4, -1, True, 2.0, "2", None])
def test_a_size_that_is_none_is_refused(dim: object) -> None:
    with pytest.raises(InputError, match="dim: expected an integer from 1 to 3"):
        truncate(np.ones((2, 3), np.float32), dim, normalize=True)  # type: ignore[arg-type]
