"""Record batches: what is refused, and how they are taken apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.records.batch import RecordBatch
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors


def batch(n: int, **columns: object) -> RecordBatch:
    made = {
        "ids": [str(i) for i in range(n)],
        "vectors": np.arange(n * 3, dtype=np.float32).reshape(n, 3),
        "texts": [f"t{i}" for i in range(n)],
        "metadata": [{"i": i} for i in range(n)],
        "hashes": [f"h{i}" for i in range(n)],
    }
    return RecordBatch(**{**made, **columns})


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"vectors": np.zeros((2, 3))}, r"float32.*float64 \(2, 3\)"),
        ({"vectors": np.zeros(2, np.float32)}, r"\(n, dim\).*\(2,\)"),
        ({"vectors": [[0.0]]}, "found list"),
        ({"texts": ["x"]}, "texts: expected 2 entries, found 1"),
        ({"hashes": ["x"] * 3}, "hashes: expected 2 entries, found 3"),
        ({"ids": ["a", ""]}, r"ids\[1\]"),
        ({"vectors": np.array([[0, 0, 0], [0, np.inf, 0]], np.float32)}, r"vectors\[1\] \(id '1'\)"),
        ({"sparse": SparseVectors.of(np.eye(3))}, "sparse: expected 2 rows, found 3"),
        ({"sparse": np.eye(2)}, "sparse: expected SparseVectors, found ndarray"),
        ({"multivectors": MultiVectors.of([np.eye(2)])}, "multivectors: expected 2 rows, found 1"),
        ({"multivectors": SparseVectors.of(np.eye(2))}, "multivectors: expected MultiVectors, found SparseVectors"),
    ],
)
def test_batches_that_are_refused(columns, says):
    with pytest.raises(InputError, match=says):
        batch(2, **columns)


def test_batches_are_contiguous_taken_and_split():
    wide = np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2]
    assert batch(2, vectors=wide).vectors.flags.c_contiguous
    assert np.array_equal(batch(2, vectors=wide).vectors, wide)
    taken = batch(5).take([3, 1])
    assert (taken.ids, taken.texts, taken.metadata, taken.hashes) == (
        ["3", "1"],
        ["t3", "t1"],
        [{"i": 3}, {"i": 1}],
        ["h3", "h1"],
    )
    assert np.array_equal(taken.vectors, batch(5).vectors[[3, 1]])
    assert [list(part.ids) for part in batch(5).split(2)] == [["0", "1"], ["2", "3"], ["4"]]
    assert [len(part) for part in batch(2).split(2)] == [2]
    assert [len(part) for part in batch(0).split(2)] == [0]


def kinds(n: int, seed: int) -> RecordBatch:
    """Rows with vectors of every kind, their numbers of any size."""
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-37, 37, shape)).astype(np.float32)

    weights = [(rng.choice(2**31 - 1, 9, replace=False), numbers(9)) for _ in range(n)]
    return batch(
        n,
        vectors=numbers(n, 3),
        sparse=SparseVectors.of_rows(weights, 2**31 - 1),
        multivectors=MultiVectors.of([numbers(int(rng.integers(0, 5)), 4) for _ in range(n)], 4),
    )


def test_batches_take_and_split_every_kind_of_vectors():
    whole = kinds(7, 0)
    taken = whole.take([5, 0, 5])
    assert taken.sparse == whole.sparse[[5, 0, 5]]
    assert taken.multivectors == whole.multivectors[[5, 0, 5]]
    for parts in (list(whole.split(3)), list(whole.split(10, 1500))):
        assert len(parts) > 1
        assert SparseVectors.concatenate([part.sparse for part in parts]) == whole.sparse
        assert MultiVectors.concatenate([part.multivectors for part in parts]) == whole.multivectors
        assert np.array_equal(np.concatenate([part.vectors for part in parts]), whole.vectors)


@given(st.integers(0, 10_000))
def test_sizes_are_no_less_than_json(seed):
    whole = kinds(5, seed)
    for i, size in enumerate(whole.sizes()):
        indices, weights = whole.sparse[i]
        row = [whole.ids[i], whole.texts[i], whole.metadata_json()[i], whole.vectors[i].tolist(), indices.tolist()]
        found = len(json.dumps([*row, weights.tolist(), whole.multivectors[i].tolist()], separators=(",", ":")))
        assert found <= size + 40 <= 2 * found


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 5), st.integers(1, 400))
def test_batches_are_split_by_bytes(lengths, rows, size):
    batch = RecordBatch(
        [str(i) for i in range(len(lengths))],
        np.zeros((len(lengths), 2), np.float32),
        ["é" * length for length in lengths],
        [{"n": i} for i in range(len(lengths))],
        [""] * len(lengths),
    )
    sizes = batch.sizes()
    assert all(found >= 2 * 2 * length for found, length in zip(sizes, lengths, strict=True))
    parts = [[int(row_id) for row_id in part.ids] for part in batch.split(rows, size)]
    assert [i for part in parts for i in part] == list(range(len(lengths)))
    for part, after in zip(parts, [*parts[1:], []], strict=True):
        assert len(part) <= rows
        assert len(part) <= 1 or sum(sizes[i] for i in part) <= size
        assert not after or len(part) == rows or sum(sizes[i] for i in part) + sizes[after[0]] > size
