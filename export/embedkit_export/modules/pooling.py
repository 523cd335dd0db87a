"""From token vectors to one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .layers import linear


class Pool(nn.Module):
    """(batch, tokens, dim) and float masks (batch, tokens) -> (batch, 2, dim), both copies equal.

    ``mask`` is 1 where the text is, ``pool`` where a token is to be pooled; they are the same object where nothing is
    left out.
    """

    takes_ids = True

    def __init__(self, mode: str, *, padding: bool = False, mask_id: int | None = None) -> None:
        super().__init__()
        self.mode, self.padding, self.mask_id = mode, padding, mask_id

    def forward(self, hidden: Tensor, ids: Tensor | None, mask: Tensor, pool: Tensor) -> Tensor:
        """Pool; only the mode ``mask`` reads ids."""
        if self.padding:
            pool = torch.ones_like(pool)
        places = torch.arange(hidden.shape[1])
        if self.mode == "first":
            if pool is mask:
                return hidden[:, :1].expand(-1, 2, -1)
            # A mask without a token falls back to place 0; such a text is refused before it comes here.
            return take(hidden, (pool * (hidden.shape[1] - places)).argmax(dim=1))
        if self.mode == "last":
            return take(hidden, (pool * (places + 1)).argmax(dim=1))
        if self.mode == "mask":
            return take(hidden, ((ids == self.mask_id) * (places + 1)).argmax(dim=1))
        if self.mode == "max":
            low = (1.0 - pool[:, :, None]) * torch.finfo(torch.float32).min
            return (hidden * pool[:, :, None] + low).amax(dim=1, keepdim=True).expand(-1, 2, -1)
        weights = pool
        if self.mode == "weighted_mean":
            weights = pool * (places + 1).to(torch.float32)
        count = weights.sum(dim=1)[:, None, None].clamp(min=1e-9)
        if self.mode == "mean_sqrt_length":
            count = count.sqrt()
        return torch.matmul(weights[:, None, :].expand(-1, 2, -1), hidden) / count


def take(hidden: Tensor, place: Tensor) -> Tensor:
    """(batch, tokens, dim) and (batch,) places -> (batch, 2, dim), both copies equal."""
    index = place[:, None, None].expand(-1, 2, hidden.shape[2])
    return torch.gather(hidden, 1, index)


class AttentionPool(nn.Module):
    """A learned latent attends to the tokens: softmax(q k / sqrt(d)) v, several heads (as in Perceiver, Jaegle et al.
    2021).

    Weights: ``latent`` (1, dim), ``to_q.weight``, ``to_k.weight`` and ``to_v.weight`` (or both as ``to_kv.weight``),
    ``to_out.weight``, biases where they are.
    """

    def __init__(self, weights: dict[str, Tensor], heads: int, *, padding: bool = False) -> None:
        super().__init__()
        weights = dict(weights)
        for name in ("weight", "bias"):
            if f"to_kv.{name}" in weights:
                weights[f"to_k.{name}"], weights[f"to_v.{name}"] = weights.pop(f"to_kv.{name}").chunk(2)
        self.heads, self.padding = heads, padding
        self.to_k, self.to_v, self.to_out = (linear(weights, name) for name in ("to_k", "to_v", "to_out"))
        query = linear(weights, "to_q")(weights["latent"].reshape(1, -1).float())
        self.register_buffer(
            "query", query.reshape(1, heads, 1, -1).expand(1, heads, 2, query.shape[-1] // heads).clone()
        )

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, dim) -> (batch, 2, dim)."""
        batch, tokens = hidden.shape[0], hidden.shape[1]
        k, v = (f(hidden).reshape(batch, tokens, self.heads, -1).transpose(1, 2) for f in (self.to_k, self.to_v))
        query: Any = self.query
        scores = torch.matmul(query * query.shape[-1] ** -0.5, k.transpose(2, 3))
        if not self.padding:
            scores = scores + ((1.0 - mask) * torch.finfo(torch.float32).min)[:, None, None, :]
        seen = torch.matmul(scores.softmax(dim=-1), v).transpose(1, 2).reshape(batch, 2, -1)
        out: Tensor = self.to_out(seen)
        return out
