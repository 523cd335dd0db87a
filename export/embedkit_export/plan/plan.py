"""From a source and a recipe to what is exported: a graph for each set of weights and stages, a frontend for each
role."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from embedkit.bundle.manifest import (
    AudioFrontend,
    ComposedFrontend,
    FeaturesFrontend,
    IdsFrontend,
    ImageFrontend,
    Input,
    Output,
    TextFrontend,
)
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.recipes.audio import AudioInput
from embedkit_export.recipes.images import ImageInput
from embedkit_export.recipes.recipe import Recipe
from embedkit_export.sources.weight_files import Weights
from embedkit_export.tensors import DENSE

AnyFrontend: TypeAlias = (
    TextFrontend | IdsFrontend | ImageFrontend | AudioFrontend | FeaturesFrontend | ComposedFrontend
)


@dataclass(frozen=True)
class GraphPlan:
    """One graph to be captured."""

    module: EncoderGraph
    inputs: list[Input]
    outputs: dict[str, Output]
    max_tokens: int
    pad_id: int
    config: Any
    fixed: int | None = None
    shapes: dict[str, tuple[int | str | None, ...]] = field(default_factory=dict)
    """The shape of one item's tensor, by the name of an input that is not made of tokens; None is an axis of any length, and a name
    one that is as long wherever it stands."""
    example: int = 7
    """How long an axis of any length is in an example."""
    axes: dict[str, int] = field(default_factory=dict)
    """How long the named axes are at most."""
    kept: bool = False
    """Whether padding has vectors that the others see nothing of."""

    @property
    def dense(self) -> Output | None:
        """The pooled vector, where there is one."""
        return self.outputs.get(DENSE)


def shaped(plan: GraphPlan, name: str, rows: int) -> torch.Tensor:
    """An example of an input that is not made of tokens: zeros, and masks of ones; axes of any length have a few, named ones each
    another number."""
    entry = next(entry for entry in plan.inputs if entry.name == name)
    named = list(plan.axes)
    sizes = [named.index(size) + _FEW if isinstance(size, str) else size or plan.example for size in plan.shapes[name]]
    value = 1 if entry.source in ("mask", "pool_mask") else 0
    return torch.full((rows, *sizes), value, dtype=getattr(torch, entry.dtype))


_FEW = 7


@dataclass(frozen=True)
class RolePlan:
    """One role: its frontend, its graph (the name of the first role that has it), and torch's tokenizer."""

    frontend: AnyFrontend
    graph: str
    tokenizer: Any
    tokenizer_json: str
    processor: Any = None
    """The model's own preparing of pictures, where transformers has it and the recipe does not say another."""
    image: ImageInput | None = None
    """What is done to pictures."""
    audio: AudioInput | None = None
    """What is done to sounds."""
    parts: dict[str, RolePlan] = field(default_factory=dict)
    """What each part reads, of a role whose items have parts."""
    reasons: list[str] = field(default_factory=list)
    """Where what is done to a part, or for a module, comes from."""


@dataclass
class Plan:
    """All that is exported."""

    recipe: Recipe
    roles: dict[str, RolePlan]
    graphs: dict[str, GraphPlan]
    weights: Weights | None = None
    """Where weights that the recipe names are."""
    records: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
