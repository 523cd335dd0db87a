"""Pooling and the stages after it as torch modules whose last bits do not depend on padding or on the batch.

A product with one row takes another kernel than a product with several, and sums in another order. So the pooled
vector is carried twice, as (batch, 2, dim), through every stage, and one copy is dropped at the end: no product ever
has a single row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from embedkit.errors import ExportError


class Pool(nn.Module):
    """(batch, tokens, dim) and a float mask (batch, tokens) -> (batch, 2, dim), both copies equal."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        if mode not in ("cls", "mean", "max"):
            raise ExportError(f"pooling: expected one of cls, mean, max; found {mode!r}")
        self.mode = mode

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        if self.mode == "cls":
            return hidden[:, :1].expand(-1, 2, -1)
        if self.mode == "max":
            low = (1.0 - mask[:, :, None]) * torch.finfo(torch.float32).min
            return (hidden * mask[:, :, None] + low).amax(dim=1, keepdim=True).expand(-1, 2, -1)
        twice = mask[:, None, :].expand(-1, 2, -1)
        return torch.matmul(twice, hidden) / mask.sum(dim=1)[:, None, None].clamp(min=1e-9)


class Normalize(nn.Module):
    """Divide by the Euclidean length."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x / length.clamp(min=1e-12)


class Dense(nn.Module):
    """A sentence-transformers Dense module on (batch, 2, in) -> (batch, 2, out)."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.linear, self.activation = module.linear, module.activation_function
        self.residual: Any = None
        if getattr(module, "use_residual", False):
            self.residual = getattr(module, "residual", None) or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the projection, its activation and its residual."""
        out: Tensor = self.activation(self.linear(x))
        return out if self.residual is None else out + self.residual(x)


def stage(module: Any) -> nn.Module:
    """The torch module of a sentence-transformers module after pooling."""
    name = type(module).__name__
    if name == "Dense":
        return Dense(module)
    if name == "LayerNorm":
        norm: nn.Module = module.norm
        return norm
    if name == "Normalize":
        return Normalize()
    raise ExportError(f"stages: cannot export the module {name}")


class EncoderGraph(nn.Module):
    """The whole encoder: (batch, tokens) int64 ids and mask -> (batch, dim) float32 vectors."""

    def __init__(self, backbone: Any, pooling: str, stages: list[Any]) -> None:
        super().__init__()
        self.backbone = backbone
        self.pool = Pool(pooling)
        self.stages = nn.Sequential(*(stage(module) for module in stages))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode."""
        mask = attention_mask.to(torch.float32)
        additive = (1.0 - mask)[:, None, None, :] * torch.finfo(torch.float32).min
        hidden = self.backbone(input_ids=input_ids, attention_mask=additive).last_hidden_state
        vectors: Tensor = self.stages(self.pool(hidden, mask))
        return vectors[:, 0]
