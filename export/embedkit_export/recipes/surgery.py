"""Surgery on weights, as a recipe names it."""

from __future__ import annotations

from typing import Annotated

import msgspec


class _Table(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    pass


class Slerp(_Table, frozen=True):
    """Spherical interpolation with another checkpoint of the same model."""

    other: str = msgspec.field(name="with")
    """Folder or file of the other checkpoint; the key is ``with`` in a recipe."""
    t: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    """The share of the other one."""


class Average(_Table, frozen=True):
    """The weighted mean with other checkpoints of the same model."""

    others: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(name="with")
    """Folders or files of the other checkpoints; the key is ``with`` in a recipe."""
    weights: list[Annotated[float, msgspec.Meta(gt=0)]] | None = None
    """One for this checkpoint and one for each other, in any scale; all equal by default."""

    def __post_init__(self) -> None:
        if self.weights is not None and len(self.weights) != len(self.others) + 1:
            raise ValueError(f"expected {len(self.others) + 1} `weights` (this checkpoint's comes first)")


class Surgery(_Table, frozen=True):
    """The table ``[surgery]`` of a recipe; what is given is done in the order of the fields.

    Prefixes and fragments are whole components of the dotted names: ``mlp`` never touches ``mlp2``. Paths are relative
    to the recipe. Other checkpoints get the same `select`, `strip`, `drop` and `rename` where they hold such names.
    """

    checkpoint: str | None = None
    """The weights' file, relative to the model folder, where it is not the one of a transformers folder."""
    select: str | None = None
    """Keep the weights under this prefix only, without it: one tower out of several."""
    strip: list[str] = []
    """Prefixes taken off where present; other weights stay as they are."""
    drop: list[str] = []
    """Prefixes of weights to throw away: heads."""
    rename: dict[str, str] = {}
    """Fragments of names and what they become; an empty text removes the fragment."""
    average: Average | None = None
    slerp: Slerp | None = None
    lora: list[str] = []
    """Folders of peft adapters, merged in this order."""
    layers: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Keep the first layers only: the output is ``hidden_states[layers]`` of the whole model."""
    final_norm: bool = False
    """With `layers`, keep the norm that follows the last layer and apply it to that output."""

    def __post_init__(self) -> None:
        if self.final_norm and self.layers is None:
            raise ValueError("`final_norm` says how `layers` cuts: give `layers` or leave it out")
