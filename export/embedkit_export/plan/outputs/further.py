"""Further outputs of a graph that are pooled vectors, of its own body or of another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from embedkit.errors import ExportError, InputError
from embedkit_export.modules.builders import batch_statistics, build_stage
from embedkit_export.modules.heads import Joined, PooledVector
from embedkit_export.modules.images.pixels import PixelBackbone
from embedkit_export.modules.pooling import Layers
from embedkit_export.modules.vocabulary import Head
from embedkit_export.plan.heads import pools_of
from embedkit_export.recipes.outputs import Dense, of_role, similarity
from embedkit_export.recipes.recipe import Pooling, Recipe, Role
from embedkit_export.recipes.recipe import pooling as as_pooling
from embedkit_export.sources.source import Source
from embedkit_export.sources.weight_files import Weights
from embedkit_export.tensors import DENSE


@dataclass(frozen=True)
class Parts:
    """What a further output may be made of: the role, the graph's ``body`` (which reads pictures where it is a `PixelBackbone`) and
    its source, and what loads another checkpoint. ``padded`` tells whether every item has one length."""

    role: Role
    body: Any
    origin: Source
    load: Callable[[str], Source]
    base: Path | None
    padded: bool


def dense_head(given: Dense, parts: Parts, where: str) -> Head:
    """The head of a dense output. Raises `ExportError` and `InputError`."""
    origin = parts.origin
    if given.joins:
        return Joined(given.joins)
    pooling = as_pooling(given.pooling if given.pooling is not None else parts.role.pooling, where)
    own: Any = None
    if given.model is not None:
        origin = parts.load(given.model)
        own = origin.backbone
        if isinstance(parts.body, PixelBackbone):
            if not origin.pictures:
                raise ExportError(
                    f"{where}: model: expected one that reads pictures, as the graph does, found {given.model}"
                )
            own = PixelBackbone(own, parts.body.image)
    weights = Weights([p for p in (parts.base, origin.folder) if p is not None], origin.folder)
    modules, after = pools_of(pooling, origin, weights, where, padded=parts.padded)
    stages = [*after, *(build_stage(item, weights, f"{where}: stage {i}") for i, item in enumerate(given.stages, 1))]
    chosen = pooling if isinstance(pooling, Pooling) else Pooling()
    return PooledVector(
        modules,
        nn.Sequential(*stages),
        reading=Layers(chosen.layers, chosen.join, chosen.layer_weights),
        masked=chosen.masked,
        part=given.part,
        body=own,
    )


def check_joins(outputs: Mapping[str, Any], *, dense: bool) -> None:
    """Raise `InputError` where an output joins what is no dense output of its own."""
    known = {name for name, given in outputs.items() if isinstance(given, Dense) and not given.joins}
    known |= {DENSE} if dense else set()
    for name, given in outputs.items():
        for other in given.joins if isinstance(given, Dense) else ():
            if other not in known:
                raise InputError(
                    f"output {name}: joins: expected dense outputs of the same role ({', '.join(sorted(known)) or 'none here'}), found {other!r}"
                )


def check_scores(recipe: Recipe) -> None:
    """Raise `InputError` where the recipe fuses outputs that are not compared, or has a prompt without its place."""
    given = [of_role(recipe, recipe.role(role)) for role in ("query", "document")]
    for name in recipe.fused:
        known = (name == DENSE and recipe.dense) or all(name in outputs for outputs in given)
        if not known or similarity(recipe, name) is None:
            raise InputError(f"fused: expected outputs of queries and documents that are compared, found {name!r}")
    for name, texts in recipe.prompts.items():
        wrong = [text for text in texts if text.count("{}") != 1 or text.count("{") + text.count("}") > 2]
        if wrong or not texts:
            raise InputError(
                f"prompts: {name}: expected texts with one {{}} for what is named, found {(wrong or texts)!r:.80}"
            )


def check_alone(module: nn.Module, tensor: torch.Tensor, where: str) -> None:
    """Raise `ExportError` where what a model makes of one of several pictures depends on the others."""
    found = batch_statistics(module)
    if found is not None:
        raise ExportError(
            f"{where}: {found} uses statistics of the batch, so a vector would depend on its neighbours; train it with running "
            "statistics (track_running_stats) and export it in evaluation mode"
        )
    with torch.no_grad():
        together, alone = module(tensor), module(tensor[:1])
    for many, one in zip(*(out if isinstance(out, tuple) else (out,) for out in (together, alone)), strict=True):
        if not torch.allclose(many[:1], one, atol=1e-3, rtol=1e-3, equal_nan=True):
            raise ExportError(
                f"{where}: the model computes with statistics of the batch, so a picture's vector would depend on its neighbours: give it "
                "in evaluation mode, with running statistics"
            )
