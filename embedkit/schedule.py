"""From ragged lengths to batches of at most so many token slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def plan(lengths: npt.NDArray[np.int64], budget: int) -> list[npt.NDArray[np.intp]]:
    """Rows of each batch, longest texts first, so that rows times the longest length is at most ``budget`` token slots.

    Every row is in exactly one batch; a text longer than the budget has a batch to itself.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def pad(
    rows: Sequence[npt.NDArray[np.int64]], pad_id: int, fixed: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Token ids and attention mask, both (rows, longest) int64, or (rows, ``fixed``); padding is ``pad_id`` with mask
    0.

    The width is never 1: a product with a single row takes another kernel, and sums in another order.
    """
    width = fixed or max(2, *(len(row) for row in rows))
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
