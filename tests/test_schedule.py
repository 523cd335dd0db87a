from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedkit.schedule import pad, plan


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 2000))
def test_every_row_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    batches = plan(array, budget)
    assert sorted(np.concatenate([*batches, np.empty(0, dtype=np.intp)]).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * array[rows].max() <= budget


def test_mixed_lengths_waste_little() -> None:
    lengths = np.random.default_rng(0).integers(3, 257, size=2048)
    slots = sum(len(rows) * lengths[rows].max() for rows in plan(lengths, 512))
    assert lengths.sum() / slots > 0.95


def test_pad() -> None:
    ids, mask = pad([np.array([5, 6, 7]), np.array([8])], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
