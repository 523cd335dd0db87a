"""A gate that classes of an item decide: each number of its vector is let through in part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class ChoiceGate(nn.Module):
    """(batch, n, dim) vectors, and for each of the inputs ``reads`` a (batch,) int64 number -> the vectors times
    sigmoid(layer(the mean of the rows of ``table`` (classes, width) at these numbers))."""

    def __init__(self, table: Tensor, layer: nn.Module, reads: Sequence[str]) -> None:
        super().__init__()
        self.register_buffer("table", table.detach().float())
        self.layer, self.reads = layer, tuple(reads)

    def forward(self, x: Tensor, *numbers: Tensor) -> Tensor:
        """The order of the inputs says nothing."""
        table: Any = self.table
        mean = sum((table[number] for number in numbers[1:]), start=table[numbers[0]]) / len(numbers)
        # As many rows as the vectors have: a product with one row is summed in another order.
        out: Tensor = x * self.layer(mean[:, None].expand(-1, x.shape[1], -1)).sigmoid()
        return out
