"""From ragged rows of tokens to batches of at most so many token slots, and to padded tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Input

from .base import Batch, Ids, Rows, Widths

RUNS_IN_BUDGET = 64
"""A run of the graph costs, beside its token slots, about as much as this part of a full batch (8 slots of 512 on CPU)."""

ATTENTION = 2048
"""Tokens of a text from which on attention, of which the cost grows with the square of the length, counts for more than the
token slots do."""


@dataclass(frozen=True, slots=True)
class Padding:
    """How rows are filled up: with ``pad_id``, to ``least`` tokens at least; ``kind`` says what that padding is (see
    `embedkit.bundle.manifest.TextFrontend.padding`); on the left, or on the right."""

    pad_id: int
    least: int = 0
    kind: str = "ignored"
    left: bool = False


@dataclass(frozen=True, slots=True)
class TokenBatch(Batch):
    """Rows of tokens: ``ragged`` holds (tokens,) arrays by source, ``ids`` among them, to be padded to ``width``, and
    ``numbers`` the (rows,) numbers by the input of each choice."""

    rows: Rows
    width: int
    ragged: Mapping[str, list[Ids]]
    truncated: npt.NDArray[np.bool_]
    padding: Padding
    numbers: Mapping[str, Ids] = field(default_factory=dict)

    @property
    def tokens(self) -> int:  # type: ignore[override]
        """Tokens that are read of all items."""
        return sum(map(len, self.ragged["ids"]))

    @property
    def counts(self) -> Ids:
        """(rows,) tokens that are read of each item."""
        return np.fromiter(map(len, self.ragged["ids"]), dtype=np.int64, count=len(self.rows))

    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """(count, width) ``ids``, ``mask``, ``pool_mask`` and ``types``, and the (count,) ``length``; rows that are added
        have one token."""
        left = self.padding.left
        ids, mask = pad(self.ragged["ids"], self.padding.pad_id, self.width, count, left=left)
        lengths = np.ones(count, dtype=np.int64)
        lengths[: len(self.rows)] = [len(row) for row in self.ragged["ids"]]
        tensors = {"ids": ids, "mask": mask, "pool_mask": mask, "types": mask, "length": lengths}
        for source in ("pool_mask", "types"):
            if source in self.ragged:
                tensors[source] = pad(self.ragged[source], 0, self.width, count, left=left)[0]
            elif source == "types":
                tensors[source] = np.zeros_like(ids)
        if self.padding.kind != "ignored":
            # Padding that is part of the text, up to the least length; what is beyond it levels the batch.
            own = (mask == 0) & (np.arange(self.width) < self.padding.least)
            tensors["pool_mask"] = np.where(own, 1, tensors["pool_mask"])
            if self.padding.kind == "read":
                tensors["mask"] = np.where(own, 1, mask)
        return tensors

    def choice(self, entry: Input, count: int) -> npt.NDArray[np.int64]:
        """(count,) the number that the choice of an input gives each item."""
        return np.resize(self.numbers[entry.name], count)


def batches(
    ragged: Mapping[str, list[Ids]],
    truncated: npt.NDArray[np.bool_],
    padding: Padding,
    budget: int,
    widths: Widths,
    *,
    longest: int,
    fixed: int | None = None,
    numbers: Mapping[str, Ids] | None = None,
) -> list[Batch]:
    """Batches of at most ``budget`` token slots that hold each row once. ``longest`` tokens are read at most, and every
    row is padded to ``fixed`` where there is one."""
    lengths = np.fromiter((len(row) for row in ragged["ids"]), dtype=np.int64, count=len(ragged["ids"]))
    if widths is not None:
        lengths = widths(lengths, longest)
    # Never one token: a product with a single row takes another kernel, and sums in another order.
    least = max(2, padding.least)
    lengths = np.maximum(lengths, least) if fixed is None else np.full_like(lengths, fixed)
    return [
        TokenBatch(
            rows,
            int(lengths[rows].max()),
            {source: [values[i] for i in rows] for source, values in ragged.items() if values},
            truncated[rows],
            padding,
            {name: values[rows] for name, values in (numbers or {}).items()},
        )
        for rows in plan(lengths, budget)
    ]


def plan(lengths: npt.NDArray[np.int64], budget: int) -> list[npt.NDArray[np.intp]]:
    """Rows of each batch, longest texts first, so that rows times the longest length is at most ``budget`` token slots, of
    which a text longer than `ATTENTION` has more than its tokens, as many times as it is longer.

    Every row is in exactly one batch; a text longer than the budget has a batch to itself. Of all cuts of the sorted
    lengths it is the one with the fewest token slots, where each batch counts for ``budget / RUNS_IN_BUDGET``
    more: found from the shortest text on, since the best cut of the texts from one on does not depend on those before.
    """
    run = budget // RUNS_IN_BUDGET
    order = np.argsort(-lengths, kind="stable")
    widths = np.maximum(lengths[order], 1)
    widths = widths * np.maximum(widths, ATTENTION) // ATTENTION
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
    rows: Sequence[npt.NDArray[np.int64]],
    pad_id: int,
    width: int | None = None,
    count: int | None = None,
    *,
    left: bool = False,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Token ids and attention mask, both (rows, longest) int64, or (``count``, ``width``); padding is ``pad_id`` with
    mask 0, behind the tokens or before them (``left``), and rows that are added have one token.

    The width is never 1 unless given: a product with a single row takes another kernel, and sums in another order.
    """
    width = width or max(2, *(len(row) for row in rows))
    count = count or len(rows)
    ids = np.full((count, width), pad_id, dtype=np.int64)
    mask = np.zeros((count, width), dtype=np.int64)
    mask[len(rows) :, -1 if left else 0] = 1
    for i, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(len(row))
        ids[i, place] = row
        mask[i, place] = 1
    return ids, mask
