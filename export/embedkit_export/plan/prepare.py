"""A model with its recipe, before anything is captured: what ``--dry-run`` shows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from embedkit.bundle.manifest import AudioFrontend, ComposedFrontend, FeaturesFrontend, IdsFrontend, ImageFrontend
from embedkit.bundle.summary import about, reads
from embedkit.errors import InputError
from embedkit_export.recipes.audio import lines as audio_lines
from embedkit_export.recipes.images import lines as image_lines
from embedkit_export.recipes.outputs import Tokens, similarity
from embedkit_export.recipes.recipe import Inferred, Recipe, read
from embedkit_export.sources.load import load
from embedkit_export.sources.source import CLASSES, Loading, Source
from embedkit_export.tensors import TOKENS

from .builder import make_plan
from .detection.detect import infer
from .plan import GraphPlan, Plan, RolePlan


@dataclass(frozen=True)
class Prepared:
    """A model with its recipe, before anything is captured: what ``--dry-run`` shows."""

    origin: Source
    inferred: Inferred
    plan: Plan

    @property
    def recipe(self) -> Recipe:
        """The recipe that will be exported."""
        return self.plan.recipe

    def text(self) -> str:
        """The recipe and why, for a terminal."""
        lines = [f"model       {self.origin.name}: {type(self.origin.backbone).__name__}"]
        lines += [f"            {record}" for record in self.plan.records]
        for owner, graph in self.plan.graphs.items():
            lines.append(f"graph       of role {owner}: {_pooling_text(graph)}")
            for name, output in graph.outputs.items():
                lines.append(f"  output    {name}: {about(output, similarity(self.recipe, name))}")
            lines += [
                f"  stage     {type(stage).__name__}: {str(stage).replace(chr(10), ' ')[:120]}"
                for stage in graph.module.stages
            ]
            lines.append(f"  inputs    {', '.join(entry.name for entry in graph.inputs)}")
        if self.recipe.dense:
            lines.append(f"similarity  {self.recipe.similarity}")
        for name, role in self.plan.roles.items():
            frontend = role.frontend
            if isinstance(frontend, ComposedFrontend | FeaturesFrontend):
                lines.append(f"role        {name}: {reads(frontend)}")
                lines += _parts_text(role)
                continue
            if isinstance(frontend, IdsFrontend):
                sides = f"padded on the {frontend.pad} with {frontend.pad_id}"
                lines.append(f"role        {name}: {reads(frontend)}, {sides}")
                continue
            if isinstance(frontend, ImageFrontend):
                lines.append(f"role        {name}: {reads(frontend)}, worth {frontend.slots} token slots")
                graph = self.plan.graphs[role.graph].module.backbone
                lines += [f"  step      {line}" for line in image_lines(graph.image)]
                lines += [f"  because   {reason}" for reason in role.reasons]
                continue
            if isinstance(frontend, AudioFrontend):
                lines.append(f"role        {name}: {reads(frontend)}")
                lines += [f"  step      {line}" for line in audio_lines(frontend)]
                lines += [f"  because   {reason}" for reason in role.reasons]
                continue
            template = [
                part.lit if part.lit is not None else "|" if part.pair else f"{{{part.field}}}"
                for part in frontend.template
            ]
            more = [
                f"at most {frontend.truncate.max} tokens",
                f"{frontend.truncate.mode} cut of {frontend.truncate.applies_to}",
            ]
            if frontend.least:
                pads = f"padded to {'' if frontend.fixed else 'at least '}{frontend.least}"
                more.append(pads + ("" if frontend.padding == "ignored" else f", padding {frontend.padding}"))
            if frontend.pool_mask:
                left_out = list(frontend.pool_mask.drop)
                left_out += (
                    [f"{len(frontend.pool_mask.ids)} tokens of the vocabulary"] if frontend.pool_mask.ids else []
                )
                more.append(f"without {', '.join(left_out)}")
            lines.append(f"role        {name}: {''.join(map(str, template))!r}, {', '.join(more)}")
        lines += [f"because     {reason}" for reason in self.inferred.reasons]
        lines += [f"note        {note}" for note in (*self.plan.notes, *self.inferred.notes)]
        return "\n".join(lines)


def _parts_text(role: RolePlan) -> list[str]:
    """What is done to each picture that is a part, and where that comes from."""
    out = []
    for name, part in role.parts.items():
        if part.image is not None:
            out += [f"  step      {name}: {line}" for line in image_lines(part.image)]
            out += [f"  because   {name}: {reason}" for reason in part.reasons]
    return out


def _pooling_text(graph: GraphPlan) -> str:
    module = graph.module
    if not len(module.pools):
        return "no pooled vector"
    names = [getattr(pool, "mode", type(pool).__name__) for pool in module.pools]
    layers = "" if module.layers == [-1] else f" of layers {', '.join(map(str, module.layers))} ({module.join})"
    return f"pooling {' + '.join(names)}{layers}"


def prepare(
    model: Any,
    *,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    max_tokens: int | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    kind: str = "auto",
    late: bool = False,
) -> Prepared:
    """Load a model and work out its recipe, as `export` does; nothing is captured or written. The options and errors
    are `export`'s."""
    if max_tokens is not None and max_tokens < 3:
        raise InputError(f"max_tokens: expected at least 3, found {max_tokens}")
    if kind not in ("auto", *CLASSES):
        raise InputError(f"kind: expected auto, {', '.join(CLASSES)}, found {kind!r}")
    base: Path | None = None
    if isinstance(recipe, str | os.PathLike):
        base = Path(recipe).resolve().parent
        given: Recipe | None = read(recipe)
    else:
        given = recipe
    loading = Loading(
        given.model_class if given else None,
        given.surgery if given else None,
        base or Path(),
        revision,
        trust_remote_code,
        ids=given is not None and given.ids is not None,
        pictures=given is not None and given.image is not None,
        sounds=given is not None and given.audio is not None,
        parts=given is not None and any(role.names_parts for role in given.all_roles()),
        kind=CLASSES.get(kind, ""),
    )
    origin = load(model, loading)
    inferred = infer(origin, given, kind=kind, pooling=pooling, normalize=normalize, base=base)
    whole = msgspec.structs.replace(inferred.recipe, surgery=loading.surgery)
    if late:
        whole = msgspec.structs.replace(whole, outputs={**whole.outputs, TOKENS: Tokens(pooled=True)})
    planned = make_plan(origin, whole, loading=loading, base=base, max_tokens=max_tokens)
    planned.records[:0] = origin.records
    planned.notes[:0] = origin.notes
    return Prepared(origin, inferred, planned)
