"""Pooling and the stages around it as torch modules whose last bits do not depend on padding or on the batch.

A product with one row takes another kernel than a product with several, and sums in another order. So the pooled
vector is carried twice, as (batch, 2, dim), through every stage, and one copy is dropped at the end: no product ever
has a single row.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

_FUNCTIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
}
Activation = Literal["identity", "tanh", "gelu", "relu", "silu", "sigmoid"]


def activation(name: str) -> nn.Module:
    """The activation function of a name."""
    return _FUNCTIONS[name]()


class Pool(nn.Module):
    """(batch, tokens, dim) and float masks (batch, tokens) -> (batch, 2, dim), both copies equal.

    ``mask`` is 1 where the text is, ``pool`` where a token is to be pooled; they are the same object where nothing is
    left out.
    """

    takes_ids = True

    def __init__(self, mode: str, *, padding: bool = False, mask_id: int | None = None) -> None:
        super().__init__()
        self.mode, self.padding, self.mask_id = mode, padding, mask_id

    def forward(self, hidden: Tensor, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """Pool."""
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


class LatentAttention(nn.Module):
    """Tokens attend to learned latents, then a gated feed-forward; both with a residual (NV-Embed, Lee et al. 2024).

    Weights, named as published: ``latents`` (n, dim), ``cross_attend_blocks.0.norm``, ``.0.norm_context``,
    ``.0.fn.to_q``, ``.0.fn.to_kv``, ``.0.fn.to_out``, ``.1.norm``, ``.1.fn.net.0``, ``.1.fn.net.2``.
    """

    def __init__(self, weights: dict[str, Tensor], heads: int) -> None:
        super().__init__()
        first, second = "cross_attend_blocks.0", "cross_attend_blocks.1"
        self.heads = heads
        self.norm, self.feed_norm = layer_norm(weights, f"{first}.norm"), layer_norm(weights, f"{second}.norm")
        self.to_q, self.to_out = linear(weights, f"{first}.fn.to_q"), linear(weights, f"{first}.fn.to_out")
        self.up, self.down = linear(weights, f"{second}.fn.net.0"), linear(weights, f"{second}.fn.net.2")
        latents = weights["latents"].float()
        context = (
            layer_norm(weights, f"{first}.norm_context")(latents)
            if f"{first}.norm_context.weight" in weights
            else latents
        )
        k, v = linear(weights, f"{first}.fn.to_kv")(context).chunk(2, dim=-1)
        for name, value in (("k", k), ("v", v)):  # the latents are constant, so their keys and values are too
            self.register_buffer(name, value.reshape(len(latents), heads, -1).transpose(0, 1)[None].contiguous())

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, tokens, dim) -> the same shape."""
        batch, tokens = hidden.shape[0], hidden.shape[1]
        k: Any = self.k
        v: Any = self.v
        q = self.to_q(self.norm(hidden)).reshape(batch, tokens, self.heads, -1).transpose(1, 2)
        weights = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(2, 3)).softmax(dim=-1)
        hidden = hidden + self.to_out(torch.matmul(weights, v).transpose(1, 2).reshape(batch, tokens, -1))
        x, gate = self.up(self.feed_norm(hidden)).chunk(2, dim=-1)
        out: Tensor = hidden + self.down(x * nn.functional.gelu(gate))
        return out


class Normalize(nn.Module):
    """Divide by the Euclidean length."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x / length.clamp(min=1e-12)


class Residual(nn.Module):
    """f(x) + g(x); g is the identity unless given."""

    def __init__(self, inner: nn.Module, skip: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.skip = inner, skip or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Apply."""
        out: Tensor = self.inner(x) + self.skip(x)
        return out


class Gate(nn.Module):
    """x * sigmoid(f(x))."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Apply."""
        out: Tensor = x * torch.sigmoid(self.inner(x))
        return out


class Shift(nn.Module):
    """x + constant."""

    def __init__(self, by: Tensor) -> None:
        super().__init__()
        self.register_buffer("by", by)

    def forward(self, x: Tensor) -> Tensor:
        """Apply."""
        by: Any = self.by
        out: Tensor = x + by
        return out


def linear(weights: dict[str, Tensor], name: str) -> nn.Linear:
    """The linear layer ``name`` of a state dict: ``weight`` (out, in) and, if it is there, ``bias`` (out,)."""
    weight, bias = weights[f"{name}.weight"].float(), weights.get(f"{name}.bias")
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias.float())
    return made


def layer_norm(weights: dict[str, Tensor], name: str, eps: float = 1e-5) -> nn.LayerNorm:
    """The layer normalisation ``name`` of a state dict."""
    weight, bias = weights[f"{name}.weight"].float(), weights.get(f"{name}.bias")
    made = nn.LayerNorm(len(weight), eps=eps, bias=bias is not None)
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias.float())
    return made
