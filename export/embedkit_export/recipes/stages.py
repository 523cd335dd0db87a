"""Stages behind the pooling, as a recipe names them."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec


class _Stage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind"):
    pass


class Linear(_Stage, frozen=True, tag="linear"):
    """PREFIX.weight (out, in) and, if it is there, PREFIX.bias."""

    weights: str
    activation: Activation = "identity"
    residual: bool = False


class Mlp(_Stage, frozen=True, tag="mlp"):
    """Several linear layers with the activation between them."""

    weights: list[str]
    activation: Activation = "gelu"
    residual: bool = False


class LayerNorm(_Stage, frozen=True, tag="layer_norm"):
    """PREFIX.weight and PREFIX.bias."""

    weights: str
    eps: float = 1e-5


class ActivationStage(_Stage, frozen=True, tag="activation"):
    """A function of each number."""

    function: Activation


class Affine(_Stage, frozen=True, tag="affine"):
    """(x + PREFIX.shift) @ PREFIX.matrix, with matrix (in, out): what `fit_whitening` makes. Either may be left out."""

    weights: str


class Gate(_Stage, frozen=True, tag="gate"):
    """x * sigmoid(linear(x)); or where it names ``inputs`` of the recipe, x * sigmoid(linear(the mean of the rows of ``table`` at
    their numbers)), for which it does not matter which of them is which."""

    weights: str
    table: str | None = None
    """``FILE:PREFIX`` of a table ``weight`` (classes, width)."""
    inputs: list[str] = []

    def __post_init__(self) -> None:
        if (self.table is None) != (not self.inputs):
            raise ValueError("expected `table` and `inputs` together")


class Normalize(_Stage, frozen=True, tag="normalize"):
    """Unit length."""


class LatentAttention(_Stage, frozen=True, tag="latent_attention"):
    """Tokens attend to learned latents; a stage on token vectors."""

    weights: str
    heads: int = 8


Stage: TypeAlias = Linear | Mlp | LayerNorm | ActivationStage | Affine | Gate | Normalize | LatentAttention


Activation = Literal["identity", "tanh", "gelu", "relu", "silu", "sigmoid"]
