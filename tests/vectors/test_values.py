"""Values of every kind as one thing: put together, set in their places, compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.vectors import values as of_values
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

KINDS = ("dense", "sparse", "multivector")


def rows_of(values: Values) -> list[list[float]]:
    """Each row as a plain list of numbers, in full."""
    if isinstance(values, SparseVectors):
        out = np.zeros((len(values), values.dim))
        for i, (indices, weights) in enumerate(values):
            out[i, indices] = weights
        return out.tolist()
    if isinstance(values, MultiVectors):
        return [row.ravel().tolist() for row in values]
    return values.tolist()


def made(kind: str, count: int, seed: int) -> Values:
    rng = np.random.default_rng(seed)
    if kind == "multivector":
        return MultiVectors.of(
            [rng.integers(-9, 9, (rng.integers(0, 4), 3)).astype(np.float32) for _ in range(count)], 3
        )
    dense = rng.integers(-2, 3, (count, 4)).astype(np.float32)
    return SparseVectors.of(dense) if kind == "sparse" else dense


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_the_rows_come_one_after_another(kind: str, sizes: list[int]) -> None:
    parts = [made(kind, size, seed) for seed, size in enumerate(sizes)]
    assert rows_of(of_values.concatenate(parts)) == [row for part in parts for row in rows_of(part)]


@pytest.mark.parametrize("kind", KINDS)
@given(st.permutations(range(7)), st.integers(1, 6))
def test_each_row_comes_to_its_place(kind: str, order: list[int], cut: int) -> None:
    whole = made(kind, 7, 0)
    parts = [np.array(part, dtype=np.intp) for part in (order[:cut], order[cut:])]
    placed = of_values.scatter([(rows, whole[rows]) for rows in parts], 7)
    assert of_values.equal(placed, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_is_equal_to_the_last_bit(kind: str) -> None:
    a, b = made(kind, 5, 1), made(kind, 5, 1)
    assert of_values.equal(a, b)
    assert of_values.scale(a) == max(abs(number) for row in rows_of(a) for number in row)
    numbers = b if isinstance(b, np.ndarray) else b.values
    place = np.unravel_index(np.abs(numbers).argmax(), numbers.shape)
    numbers.setflags(write=True)
    numbers[place] = np.nextafter(numbers[place], np.float32(99))
    assert not of_values.equal(a, b)
    assert 0 < of_values.largest_difference(a, b) < 1e-5
    assert not of_values.equal(a, a[:4])
    others = {other: made(other, 5, 1) for other in KINDS if other != kind}
    assert not any(of_values.equal(a, other) for other in others.values())


def test_zero_and_minus_zero_are_other_bytes() -> None:
    assert not of_values.equal(np.zeros((1, 1), np.float32), -np.zeros((1, 1), np.float32))


@given(st.integers(0, 1000))
def test_the_difference_of_sparse_rows_is_that_of_full_ones(seed: int) -> None:
    a, b = made("sparse", 4, seed), made("sparse", 4, seed + 1)
    expected = np.abs(np.array(rows_of(a)) - np.array(rows_of(b))).max(initial=0.0)
    assert of_values.largest_difference(a, b) == pytest.approx(expected)


def test_another_number_of_vectors_is_infinitely_far() -> None:
    a, b = MultiVectors.of([np.ones((2, 3))]), MultiVectors.of([np.ones((1, 3))])
    assert of_values.largest_difference(a, b) == float("inf")
    assert of_values.nearness(a, b).tolist() == [0.0]
    assert of_values.nearness(a, a).tolist() == pytest.approx([1.0])


@given(st.integers(0, 1000))
def test_nearness_of_dense_and_sparse_rows_is_the_cosine(seed: int) -> None:
    a, b = made("sparse", 5, seed), made("sparse", 5, seed + 1)
    x, y = np.array(rows_of(a)), np.array(rows_of(b))
    for i, found in enumerate(of_values.nearness(a, b)):
        lengths = np.linalg.norm(x[i]) * np.linalg.norm(y[i])
        empty = not x[i].any() and not y[i].any()
        assert found == pytest.approx(1.0 if empty else x[i] @ y[i] / lengths if lengths else 0.0, abs=1e-6)
        if lengths:
            dense = of_values.nearness(x[i : i + 1].astype(np.float32), y[i : i + 1].astype(np.float32))
            assert found == pytest.approx(dense[0], abs=1e-6)


def test_nearness_of_logits_is_relative_to_the_largest() -> None:
    found = np.array([[1.0, -0.5], [8.0, 4.0]], np.float32)
    expected = np.array([[0.5, -0.5], [10.0, 4.0]], np.float32)
    assert of_values.nearness(found, expected, "logits").tolist() == pytest.approx([0.5, 0.8])
