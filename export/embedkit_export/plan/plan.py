"""From a source and a recipe to what is exported: a graph for each set of weights and stages, a frontend for each
role."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from embedkit.bundle.manifest import IdsFrontend, Input, Output, TextFrontend
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.recipes.recipe import Recipe
from embedkit_export.sources.weight_files import Weights
from embedkit_export.tensors import DENSE


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
    kept: bool = False
    """Whether padding has vectors that the others see nothing of."""

    @property
    def dense(self) -> Output | None:
        """The pooled vector, where there is one."""
        return self.outputs.get(DENSE)


@dataclass(frozen=True)
class RolePlan:
    """One role: its frontend, its graph (the name of the first role that has it), and torch's tokenizer."""

    frontend: TextFrontend | IdsFrontend
    graph: str
    tokenizer: Any
    tokenizer_json: str


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
