"""From ragged lengths to batches of at most so many token slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RUNS_IN_BUDGET = 64
"""A run of the graph costs, beside its token slots, about as much as this part of a full batch (8 slots of 512 on CPU)."""


def plan(lengths: npt.NDArray[np.int64], budget: int) -> list[npt.NDArray[np.intp]]:
    """Rows of each batch, longest texts first, so that rows times the longest length is at most ``budget`` token slots.

    Every row is in exactly one batch; a text longer than the budget has a batch to itself. Of all cuts of the sorted
    lengths it is the one with the fewest token slots, where each batch counts for ``budget / RUNS_IN_BUDGET``
    more: found from the shortest text on, since the best cut of the texts from one on does not depend on those before.
    """
    run = budget // RUNS_IN_BUDGET
    order = np.argsort(-lengths, kind="stable")
    widths = np.maximum(lengths[order], 1)
    cost = np.zeros(len(order) + 1, dtype=np.int64)  # of the best cut of the texts from each one on
    rows = np.ones(len(order), dtype=np.int64)
    for i in range(len(order) - 1, -1, -1):
        width = int(widths[i])
        most = min(max(1, budget // width), len(order) - i)
        slots = width * np.arange(1, most + 1) + cost[i + 1 : i + most + 1]
        best = int(slots.argmin())
        rows[i], cost[i] = best + 1, slots[best] + run
    batches = []
    start = 0
    while start < len(order):
        batches.append(order[start : start + rows[start]])
        start += int(rows[start])
    return batches


def pad(
    rows: Sequence[npt.NDArray[np.int64]], pad_id: int, width: int | None = None, count: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Token ids and attention mask, both (rows, longest) int64, or (``count``, ``width``); padding is ``pad_id`` with
    mask 0, and rows that are added have one token.

    The width is never 1 unless given: a product with a single row takes another kernel, and sums in another order.
    """
    width = width or max(2, *(len(row) for row in rows))
    count = count or len(rows)
    ids = np.full((count, width), pad_id, dtype=np.int64)
    mask = np.zeros((count, width), dtype=np.int64)
    mask[len(rows) :, 0] = 1
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
