"""From token vectors to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embedkit_export.tensors import IDS

from .layers import linear


class Pool(nn.Module):
    """(batch, tokens, dim) and float masks (batch, tokens) -> (batch, 2, dim), both copies equal.

    ``mask`` is 1 where the text is, ``pool`` where a token is to be pooled; they are the same object where nothing is
    left out.
    """

    takes_ids = True

    def __init__(
        self, mode: str, *, padding: bool = False, mask_id: int | None = None, eos_id: int | None = None
    ) -> None:
        super().__init__()
        self.mode, self.padding, self.mask_id, self.eos_id = mode, padding, mask_id, eos_id

    def forward(self, hidden: Tensor, ids: Tensor | None, mask: Tensor, pool: Tensor) -> Tensor:
        """Pool; only the modes ``mask``, ``eos`` and ``highest`` read ids."""
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
        if self.mode == "eos":
            return take(hidden, ((ids == self.eos_id) * pool).argmax(dim=1))
        if self.mode == "highest":
            assert ids is not None
            return take(hidden, torch.where(pool > 0, ids, torch.full_like(ids, -1)).argmax(dim=1))
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


class Layers:
    """Which hidden states are read of what a backbone gives, and how several become one: ``concat``, or ``mean`` with
    weights."""

    def __init__(
        self, layers: Sequence[int] = (-1,), join: str = "concat", weights: Sequence[float] | None = None
    ) -> None:
        self.layers, self.join = list(layers), join
        shares = [1.0] * len(self.layers) if weights is None else list(weights)
        self.shares = [share / sum(shares) for share in shares]

    @property
    def are_inner(self) -> bool:
        """Whether others than the last are read."""
        return self.layers != [-1]

    def __call__(self, out: Any) -> Tensor:
        """(batch, tokens, dim)."""
        if not self.are_inner:
            return last(out)
        states = [out.last_hidden_state if layer == -1 else out.hidden_states[layer] for layer in self.layers]
        if len(states) == 1:
            hidden: Tensor = states[0]
            return hidden
        if self.join == "concat":
            return torch.cat(states, dim=-1)
        return torch.stack([share * state for share, state in zip(self.shares, states, strict=True)]).sum(dim=0)


def last(out: Any) -> Tensor:
    """The last token vectors of what a backbone gives."""
    if isinstance(out, Tensor):
        return out
    if isinstance(out, Mapping) and not hasattr(out, "last_hidden_state"):
        first: Tensor = next(iter(out.values()))
        return first
    hidden: Tensor = out.last_hidden_state if hasattr(out, "last_hidden_state") else out[0]
    return hidden


def part_of(out: Any, name: str) -> Tensor:
    """What a module gives under a name; `KeyError` that lists the names."""
    found = out.get(name) if isinstance(out, Mapping) else getattr(out, name, None)
    if not isinstance(found, Tensor):
        names = ", ".join(out) if isinstance(out, Mapping) else type(out).__name__
        raise KeyError(f"part {name!r}: the model gives {names}")
    return found


def pooled(
    pools: Iterable[nn.Module],
    hidden: Tensor,
    named: Mapping[str, Tensor],
    mask: Tensor,
    pool_mask: Tensor,
    leading: int = 0,
) -> Tensor:
    """(batch, 2, dim), both copies equal, of all pools one behind the other; without the first ``leading`` tokens."""
    if leading:
        hidden, mask = hidden[:, leading:], mask[:, leading:]
        pool_mask = mask
    parts = []
    for pool in pools:
        if getattr(pool, "takes_ids", False):
            parts.append(pool(hidden, named.get(IDS), mask, pool_mask))
        else:
            part = pool(hidden, pool_mask)
            parts.append(part[:, None].expand(-1, 2, -1) if part.ndim == 2 else part)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


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
