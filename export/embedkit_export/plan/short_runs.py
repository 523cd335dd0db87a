"""What short runs of a module show: its sizes, and what an item of it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn

from embedkit.bundle.manifest import Output
from embedkit.errors import ExportError
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.modules.output_heads import is_normalized
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.images import ImageInput
from embedkit_export.recipes.outputs import Logits, Named, Sparse
from embedkit_export.sources.foreign.own_code import gone
from embedkit_export.tensors import FEATURES, IDS, LENGTH, MASK, PIXELS, POOL_MASK, SAMPLES, TYPES

Shapes: TypeAlias = "dict[str, tuple[int | None, ...]]"

SECOND = 16_000
"""Samples of a clip that is an example."""


def short_run(
    run: Callable[[dict[str, torch.Tensor]], Any], module: EncoderGraph, where: str, token: int, shapes: Shapes
) -> Any:
    """What ``run`` makes of two rows of four times the id ``token``; raises `ExportError`."""
    if PIXELS in module.inputs:
        return _ran(run, {PIXELS: torch.zeros_like(module.backbone.noise(2))}, where, "black pictures")
    for name in (SAMPLES, FEATURES):
        if name in shapes:
            quiet_clips = {name: torch.zeros(2, *(size or SECOND for size in shapes[name]))}
            if LENGTH in module.inputs:
                quiet_clips[LENGTH] = torch.full((2,), 2, dtype=torch.int64)
            return _ran(run, quiet_clips, where, "silence")
    ids = torch.full((2, 4), token, dtype=torch.int64)
    given = {
        name: ids if name == IDS else torch.ones_like(ids) if name in (MASK, POOL_MASK) else torch.zeros_like(ids)
        for name in module.inputs
    }
    for name in module.inputs:
        if name == LENGTH:
            given[name] = torch.full((2,), 4, dtype=torch.int64)
        elif name not in (IDS, MASK, POOL_MASK, TYPES):
            given[name] = torch.zeros(2, dtype=torch.int64)
    return _ran(run, given, where, f"the id {token}")


def _ran(run: Callable[[dict[str, torch.Tensor]], Any], given: dict[str, torch.Tensor], where: str, what: str) -> Any:
    with quiet(), torch.no_grad():
        try:
            return run(given)
        except Exception as error:
            raise ExportError(
                f"{where}: the model cannot be run as the recipe says, on {what}: {reason(error)}{gone(error)}"
            ) from error


def picture_slots(module: EncoderGraph, given: ImageInput, where: str) -> int:
    """Token slots that a picture is worth: a transformer's tokens; of a network that makes them fewer on its way, or of maps, a
    slot for each 16 x 16 pixels."""
    tokens = int(short_run(module.hidden, module, where, 0, {}).shape[1])
    height, width = given.size
    patch = getattr(module.backbone.config, "patch_size", None)
    whole = isinstance(patch, int) and abs(tokens - (height // patch) * (width // patch)) <= 8
    return tokens if whole else max(tokens, height * width // 256, 1)


def pooled_alone(pool: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """What a pooling makes of tokens that are all an item's."""
    out: torch.Tensor = pool(hidden, torch.ones(hidden.shape[:2]))
    return out


def described_outputs(
    module: EncoderGraph, outputs: dict[str, Named], where: str, token: int, shapes: Shapes
) -> dict[str, Output]:
    """What the manifest says of the outputs beside the pooled vector, whose sizes a short run shows."""
    found = short_run(lambda given: module(*given.values()), module, where, token, shapes)
    tensors = dict(zip(module.outputs, found if isinstance(found, tuple) else (found,), strict=True))
    out: dict[str, Output] = {}
    for name, given in outputs.items():
        about: dict[str, Any] = {}
        if isinstance(given, Sparse):
            about["top"] = given.top
        elif isinstance(given, Logits):
            about |= {"labels": given.labels, "activation": given.activation}
        part: Any = module.heads[name]
        about["normalized"] = is_normalized(part)
        dim = int(tensors[name].shape[-1])
        if isinstance(given, Logits) and given.labels and len(given.labels) != dim:
            raise ExportError(f"output {name}: expected {dim} labels, found {len(given.labels)}")
        out[name] = Output(kind=given.__struct_config__.tag, dim=dim, **about)  # type: ignore[arg-type]
    return out


def width_of(module: EncoderGraph, where: str, token: int, shapes: Shapes, *, pooled: bool = True) -> int:
    """Numbers of a pooled vector, or of a token's, from a short run."""

    def run(given: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden = module.hidden(given)
        return module.pooled(hidden, given) if pooled else hidden

    return int(short_run(run, module, where, token, shapes).shape[-1])


def sound_slots(module: EncoderGraph, where: str, shapes: Shapes) -> int:
    """Token slots that a clip of a fixed size is worth: its tokens, and no fewer than one for each 256 numbers of its bands, which a
    network may make fewer on its way."""
    tokens = int(short_run(module.hidden, module, where, 0, shapes).shape[1])
    sides = shapes[FEATURES][-2:]
    return max(tokens, (sides[0] or 1) * (sides[1] or 1) // 256 if len(shapes[FEATURES]) > 2 else 1)
