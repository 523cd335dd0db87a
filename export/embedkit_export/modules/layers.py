"""Pooling and the stages around it as torch modules whose last bits do not depend on padding or on the batch.

A product with one row takes another kernel than a product with several, and sums in another order. So the pooled
vector is carried twice, as (batch, 2, dim), through every stage, and one copy is dropped at the end: no product ever
has a single row.
"""

from __future__ import annotations

from typing import Any

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


def activation(name: str) -> nn.Module:
    """The activation function of a name."""
    return _FUNCTIONS[name]()


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


class Latents(nn.Module):
    """The latents of a sparse autoencoder before the smallest are left out: relu(W (x - shift) + bias), of x that is first
    brought to mean 0 and deviation 1 where that is asked for (Wen et al. 2025)."""

    def __init__(self, layer: nn.Linear, shift: Tensor, *, normalize: bool) -> None:
        super().__init__()
        self.layer, self.normalize = layer, normalize
        self.register_buffer("shift", shift)

    @classmethod
    def of(cls, coder: Any) -> Latents:
        """Of sentence-transformers' SparseAutoEncoder."""
        weights = {"x.weight": coder.encoder.weight.detach(), "x.bias": coder.latent_bias.detach()}
        return cls(linear(weights, "x"), coder.pre_bias.detach().float().clone(), normalize=coder.normalize)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., latents)."""
        if self.normalize:
            x = x - x.mean(dim=-1, keepdim=True)
            deviation = ((x * x).sum(dim=-1, keepdim=True) / (x.shape[-1] - 1)).sqrt()
            x = x / (deviation + 1e-5)
        shift: Any = self.shift
        return torch.relu(self.layer(x - shift))


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
