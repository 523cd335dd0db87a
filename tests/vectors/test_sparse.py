"""Sparse vectors beside scipy's, and what can be none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.sparse import csr_array

from embedkit import InputError, SparseVectors

EXACT = st.integers(-8, 8).map(lambda n: n / 4)
"""Numbers whose products and sums float32 has exactly."""
ARRAYS = npst.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9).flatmap(
    lambda shape: npst.arrays(np.float32, shape, elements=EXACT, fill=st.just(0.0))
)


def scipys(dense: np.ndarray) -> csr_array:
    found = csr_array(dense)
    found.sort_indices()
    return found


@given(ARRAYS)
def test_the_three_arrays_are_scipys(dense: np.ndarray) -> None:
    found, expected = SparseVectors.of(dense), scipys(dense)
    assert found.shape == expected.shape == (len(found), found.dim)
    assert (found.offsets.dtype, found.indices.dtype, found.values.dtype) == (np.int64, np.int32, np.float32)
    assert np.array_equal(found.offsets, expected.indptr)
    assert np.array_equal(found.indices, expected.indices)
    assert np.array_equal(found.values, expected.data)
    assert np.array_equal(found.dense(), dense)


@given(ARRAYS, st.data())
def test_rows_are_chosen_as_of_an_array(dense: np.ndarray, data: st.DataObject) -> None:
    found, n = SparseVectors.of(dense), len(dense)
    some = data.draw(st.lists(st.integers(-n, n - 1), max_size=12) if n else st.just([]))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    part = data.draw(st.slices(n))
    for which in (np.array(some, dtype=np.intp), mask, part):
        assert np.array_equal(found[which].dense(), dense[which])
    for i, (indices, values) in enumerate(found):
        assert np.array_equal(indices, np.flatnonzero(dense[i]))
        assert np.array_equal(values, dense[i][indices])
        assert np.array_equal(found[i - n][0], indices)
    for wrong in (n, -n - 1):
        with pytest.raises(IndexError):
            found[wrong]


@given(ARRAYS, st.data())
def test_dot_is_scipys_product(dense: np.ndarray, data: st.DataObject) -> None:
    other = data.draw(npst.arrays(np.float32, (data.draw(st.integers(0, 6)), dense.shape[1]), elements=EXACT))
    found = SparseVectors.of(dense).dot(SparseVectors.of(other))
    assert found.dtype == np.float32
    assert np.array_equal(found, (scipys(dense) @ scipys(other).T).toarray())


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_a_product_does_not_depend_on_what_is_multiplied_with_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(12, 400)) * (rng.random((12, 400)) < 0.2)
    a, b = SparseVectors.of(dense[:5]), SparseVectors.of(dense[5:])
    together = a.dot(b)
    assert np.allclose(together, dense[:5] @ dense[5:].T, rtol=1e-5, atol=1e-5)
    for i in range(len(a)):
        for j in range(len(b)):
            assert a[i : i + 1].dot(b[j : j + 1])[0, 0] == together[i, j]


@given(ARRAYS, st.integers(1, 5))
def test_top_keeps_the_largest_of_a_row_and_of_equal_ones_the_first(dense: np.ndarray, count: int) -> None:
    found = SparseVectors.of(dense).top(count)
    assert found == SparseVectors.of(dense, top=count)
    for row, (indices, values) in zip(dense, found, strict=True):
        best = sorted(np.flatnonzero(row), key=lambda i: (-row[i], i))[:count]
        assert indices.tolist() == sorted(best)
        assert np.array_equal(values, row[indices])


@given(ARRAYS, st.randoms())
def test_rows_may_be_given_in_any_order_of_their_indices(dense: np.ndarray, random: Any) -> None:
    rows = []
    for row in dense:
        places = list(range(len(row)))
        random.shuffle(places)
        rows.append((places, row[places]))
    assert SparseVectors.of_rows(rows, dense.shape[1]) == SparseVectors.of(dense)
    assert SparseVectors.of_rows(SparseVectors.of(dense), dense.shape[1]) == SparseVectors.of(dense)


@given(st.lists(npst.arrays(np.float32, st.tuples(st.integers(0, 4), st.just(3)), elements=EXACT), min_size=1))
def test_several_are_one_after_the_other(parts: list[np.ndarray]) -> None:
    whole = SparseVectors.concatenate([SparseVectors.of(part) for part in parts])
    assert np.array_equal(whole.dense(), np.concatenate(parts))


@given(ARRAYS)
@settings(max_examples=20)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, dense: np.ndarray) -> None:
    found, path = SparseVectors.of(dense), tmp_path_factory.mktemp("saved") / "vectors"
    found.save(path)
    again = SparseVectors.load(path)
    assert again == found
    assert again.nbytes == found.nbytes
    assert found != dense.tolist()


ONE: dict[str, Any] = {"offsets": [0, 2], "indices": [1, 3], "values": [0.5, 2.0], "dim": 5}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"offsets": []}, "offsets"),
        ({"offsets": [0, 1]}, "offsets"),
        ({"offsets": [0, 3]}, "offsets"),
        ({"offsets": [1, 2]}, "offsets"),
        ({"offsets": [0, 2, 1, 2]}, "offsets"),
        ({"offsets": [0.0, 2.0]}, "expected integers"),
        ({"offsets": [[0, 2]]}, "one axis"),
        ({"indices": [3, 1]}, "rising"),
        ({"indices": [1, 1]}, "rising"),
        ({"indices": [-1, 3]}, "from 0 to 4"),
        ({"indices": [1, 5]}, "from 0 to 4"),
        ({"indices": [1, 2**32 + 3]}, "found 4294967299"),
        ({"indices": np.array([1, 2**63 + 3], np.uint64)}, "found 9223372036854775811"),
        ({"indices": [1.0, 3.5]}, "expected integers"),
        ({"indices": ["1", "3"]}, "expected integers"),
        ({"values": [0.5]}, "2 entries"),
        ({"values": [0.5, 0.0]}, "other than zero"),
        ({"values": [0.5, np.nan]}, "finite"),
        ({"values": [0.5, np.inf]}, "finite"),
        ({"values": [0.5, 1e39]}, "finite"),
        ({"values": [0.5, 1e-50]}, "other than zero"),
        ({"values": [0.5, 1j]}, "expected numbers"),
        ({"values": ["0.5", "2"]}, "expected numbers"),
        ({"values": [[0.5], [1, 2]]}, "array of numbers"),
        *(({"dim": dim}, "dim") for dim in (-1, 2.5, True, None, "5")),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changed: dict[str, Any], message: str) -> None:
    assert SparseVectors(**ONE).dense().tolist() == [[0, 0.5, 0, 2, 0]]
    with pytest.raises(InputError, match=message):
        SparseVectors(**(ONE | changed))


def test_what_can_be_no_rows_is_refused() -> None:
    some = SparseVectors.of([[0, 3.0]])
    for refused in (
        lambda: SparseVectors.of([1.0, 2.0]),
        lambda: SparseVectors.of([[1.0], [1.0, 2.0]]),
        lambda: SparseVectors.of([[np.nan, 1.0]]),
        lambda: SparseVectors.of([["a"]]),
        lambda: SparseVectors.of_rows([([1, 1], [1.0, 2.0])], 5),
        lambda: SparseVectors.of_rows([([1], [1.0, 2.0])], 5),
        lambda: SparseVectors.of_rows([([2**32], [1.0])], 5),
        lambda: SparseVectors.of_rows([([1.5], [1.0])], 5),
        lambda: SparseVectors.concatenate([]),
        lambda: SparseVectors.concatenate([SparseVectors.of([[0, 0, 3.0]]), some]),
        lambda: some.dot(SparseVectors.of([[0, 0, 3.0]])),
        lambda: some.dot(some.dense()),  # type: ignore[arg-type]
        *(lambda count=count: some.top(count) for count in (0, -1, 1.5, True)),
    ):
        with pytest.raises(InputError):
            refused()
    with pytest.raises(TypeError):
        hash(some)


@pytest.mark.parametrize("dim", [[1, 2], "x", 2.5, -1])
def test_a_file_of_something_else_is_refused(tmp_path: Any, dim: Any) -> None:
    path = tmp_path / "kept.npz"
    np.savez(path, **(ONE | {"dim": dim}))
    with pytest.raises(InputError, match="dim"):
        SparseVectors.load(path)
    np.savez(path, offsets=[0])
    with pytest.raises(InputError, match=r"expected what SparseVectors\.save wrote"):
        SparseVectors.load(path)
    np.savez(path, **(ONE | {"values": np.array([object(), object()])}))
    with pytest.raises(InputError, match=r"expected what SparseVectors\.save wrote"):
        SparseVectors.load(path)
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(InputError, match=r"expected what SparseVectors\.save wrote"):
        SparseVectors.load(path)
    with pytest.raises(FileNotFoundError):
        SparseVectors.load(tmp_path / "absent.npz")
