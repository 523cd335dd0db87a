"""The module that scores two stored vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from embedkit_export.recipes.pair import Feature


class PairHead(nn.Module):
    """(n, dim) and (n, dim) vectors -> (n, outputs). Every row is computed twice, for a product with one row is summed in
    another order than one with several."""

    def __init__(self, features: Sequence[Feature], stages: nn.Module) -> None:
        super().__init__()
        self.features, self.stages = list(features), stages

    def read(self, left: Tensor, right: Tensor) -> Tensor:
        """(n, features * dim)."""
        made = {"left": left, "right": right, "product": left * right, "difference": (left - right).abs()}
        return torch.cat([made[name] for name in self.features], dim=-1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Score."""
        out: Tensor = self.stages(self.read(left, right)[:, None].expand(-1, 2, -1))
        return out[:, 0]
