from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedkit.runtime.frontends.batching import RUNS_IN_BUDGET, pad, plan


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 2000))
def test_every_row_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    batches = plan(array, budget)
    assert sorted(np.concatenate([*batches, np.empty(0, dtype=np.intp)]).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * array[rows].max() <= budget


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10), st.integers(64, 256))
def test_no_other_cut_of_the_sorted_lengths_costs_less(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    run = budget // RUNS_IN_BUDGET
    ordered = sorted(lengths, reverse=True)
    costs = []
    for chosen in product((False, True), repeat=len(ordered) - 1):
        starts = [0, *(i for i, cut in enumerate(chosen, 1) if cut), len(ordered)]
        slots = [(b - a) * ordered[a] for a, b in pairwise(starts)]
        if max(slots) <= budget:
            costs.append(sum(slots) + run * len(slots))
    batches = plan(array, budget)
    assert sum(len(rows) * int(array[rows].max()) + run for rows in batches) == min(costs)


def test_a_few_texts_of_very_different_lengths_are_not_padded_to_the_longest() -> None:
    lengths = np.array([200, 9, 8, 8, 7, 150, 30, 9])
    slots = sum(len(rows) * lengths[rows].max() for rows in plan(lengths, 512))
    assert lengths.sum() / slots > 0.97


def test_a_long_text_counts_for_what_its_attention_costs() -> None:
    def sizes(length: int, budget: int = 16384) -> list[int]:
        return [len(rows) for rows in plan(np.full(16, length), budget)]

    assert sizes(2048) == [8, 8], "up to there tokens alone count"
    assert sizes(4096) == [2] * 8, "twice as long, a quarter as many"
    assert sizes(8192) == [1] * 16


def test_mixed_lengths_waste_little() -> None:
    lengths = np.random.default_rng(0).integers(3, 257, size=2048)
    slots = sum(len(rows) * lengths[rows].max() for rows in plan(lengths, 512))
    assert lengths.sum() / slots > 0.97


def test_pad() -> None:
    ids, mask = pad([np.array([5, 6, 7]), np.array([8])], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
