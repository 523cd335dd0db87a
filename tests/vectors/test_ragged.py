"""What ragged arrays share, against lists of Python."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.vectors.ragged import gather, loaded, numbers, one_size, vars_of
from embedkit.vectors.sparse import SparseVectors


@given(st.lists(st.lists(st.integers(0, 99), max_size=4), min_size=1, max_size=6), st.data())
def test_rows_are_gathered_as_of_a_list(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    offsets = np.cumsum([0, *map(len, rows)])
    flat = np.array([value for row in rows for value in row], dtype=np.int64)
    out, places = gather(offsets, np.array(chosen, dtype=np.intp))
    assert [flat[places][a:b].tolist() for a, b in itertools.pairwise(out)] == [rows[i] for i in chosen]


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        ([1, 2], np.float32, [1.0, 2.0]),
        ([True, False], np.float32, [1.0, 0.0]),
        ([], np.int32, []),
        (np.array([3, 4], np.uint64), np.int32, [3, 4]),
        (np.arange(6.0)[::2], np.float64, [0.0, 2.0, 4.0]),
    ],
)
def test_numbers_stay_the_numbers_they_were(given: object, dtype: type[np.generic], expected: list[float]) -> None:
    found = numbers(given, dtype, "values")  # type: ignore[arg-type]
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("given", "dtype", "message"),
    [
        (["1"], np.float32, "values: expected numbers, found an array of <U1"),
        ([1.0], np.int32, "values: expected integers, found an array of float64"),
        ([True], np.int32, "values: expected integers, found an array of bool"),
        ([2**31], np.int32, "values: expected integers of int32, found 2147483648"),
        ([-1], np.uint8, "values: expected integers of uint8, found -1"),
        ([[1], [1, 2]], np.float32, "values: expected an array of numbers"),
        ([1j], np.float32, "values: expected numbers"),
        ([None], np.float32, "values: expected numbers"),
    ],
)
def test_numbers_that_would_be_others_are_refused(given: object, dtype: type[np.generic], message: str) -> None:
    with pytest.raises(InputError, match=message):
        numbers(given, dtype, "values")  # type: ignore[arg-type]


def test_one_size_for_all() -> None:
    one_size([3])
    one_size([3, 3, 3])
    with pytest.raises(InputError, match="found 3 and 4$"):
        one_size([3, 4, 3])
    with pytest.raises(InputError, match="found none"):
        one_size([])


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    arrays = {"offsets": np.array([0, 2]), "values": np.array([0.5, 1.0], np.float32)}
    np.savez(tmp_path / "rows.npz", **arrays)
    found = loaded(tmp_path / "rows.npz", ["values", "offsets"], "Rows.save")
    assert list(found) == ["values", "offsets"]
    assert all(found[name].tobytes() == arrays[name].tobytes() for name in arrays)


def test_what_something_else_wrote_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.npz"
    np.savez(file, values=np.array([object()], dtype=object))
    for names in (["values"], ["absent"]):
        with pytest.raises(InputError, match=r"rows\.npz: expected what Rows\.save wrote"):
            loaded(file, names, "Rows.save")
    file.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match=r"expected what Rows\.save wrote"):
        loaded(file, ["values"], "Rows.save")
    with pytest.raises(FileNotFoundError):
        loaded(tmp_path / "nowhere.npz", ["values"], "Rows.save")


def test_the_arrays_of_a_value_come_in_order() -> None:
    rows = SparseVectors.of(np.array([[0, 2.0], [3.0, 0]]))
    assert [array.tolist() for array in vars_of(rows)] == [[0, 1, 2], [1, 0], [2.0, 3.0]]
