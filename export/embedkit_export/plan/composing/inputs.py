"""The inputs of a graph whose items have parts, and which of a body's arguments each of them is."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from embedkit.bundle.manifest import (
    ComposedFrontend,
    FeaturesFrontend,
    Frontend,
    IdsFrontend,
    ImageFrontend,
    Input,
    TextFrontend,
)
from embedkit.errors import ExportError, InputError
from embedkit_export.modules.parts.backbone import PartsBackbone
from embedkit_export.plan.detection.media.images import preparing
from embedkit_export.plan.frontend import text_frontend
from embedkit_export.plan.plan import AnyFrontend, RolePlan
from embedkit_export.recipes.features import features_input
from embedkit_export.recipes.images import ImageInput
from embedkit_export.recipes.recipe import Recipe, Role
from embedkit_export.sources.media.processors import of_folder, of_processor
from embedkit_export.sources.source import Source
from embedkit_export.tensors import IDS, MASK

Shape: TypeAlias = "tuple[int | str | None, ...]"
ALONE = "features"
"""What the only part is called where a role reads numbers and nothing else."""
_FEW = 6


@dataclass
class Parts:
    """What a role reads, part by part, and the inputs that it takes. ``shapes`` and ``axes`` are those of `GraphPlan`."""

    frontend: AnyFrontend
    planned: dict[str, RolePlan]
    inputs: list[Input] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    backbone: Any = None


def is_of_parts(role: Role) -> bool:
    """Whether a role reads parts, or numbers that were made before."""
    return bool(role.parts) or role.features is not None


def parts_of(
    role: Role, origin: Source, recipe: Recipe, owner: str, *, base: Path | None = None, max_tokens: int | None = None
) -> Parts:
    """What a role reads, with the inputs that the body of ``origin`` takes of it. Raises `ExportError` and `InputError`."""
    where = f"role {owner}"
    given = role.parts or {ALONE: Role(features=role.features)}
    planned = {name: _planned(one, origin, f"{where}: part {name}", base, max_tokens) for name, one in given.items()}
    whole: AnyFrontend
    if role.parts:
        try:
            whole = msgspec.convert(
                {"parts": {name: part.frontend for name, part in planned.items()}}, ComposedFrontend, dec_hook=_as_it_is
            )
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: {error}") from None
    else:
        whole = planned[ALONE].frontend
    made = Parts(whole, planned)
    taken, open_ended = _taken(origin.backbone)
    arguments: dict[str, str] = {}
    for name, part in planned.items():
        own = name if role.parts else None
        for entry, shape, argument in _inputs(name, own, part.frontend, made.axes):
            found = next((one for one in argument if one in taken), argument[0] if open_ended else None)
            if found is None and entry.name == name:
                raise ExportError(
                    f"{where}: {type(origin.backbone).__name__} takes no argument {' or '.join(argument)} for the part {name!r}; it takes "
                    f"{', '.join(sorted(taken))}: name the part as the argument is"
                )
            if found is not None:
                made.inputs.append(entry)
                made.shapes[entry.name] = shape
                arguments[entry.name] = found
    arguments |= {name: name for name in recipe.inputs if name in taken}
    images = {name: part.image for name, part in planned.items() if isinstance(part.image, ImageInput)}
    examples = {entry.name: (_short(made.shapes[entry.name]), entry.dtype, _value(entry)) for entry in made.inputs}
    examples |= dict.fromkeys(recipe.inputs, ((), "int64", 0))
    made.backbone = PartsBackbone(origin.backbone, arguments, images, examples)
    return made


def _planned(role: Role, origin: Source, where: str, base: Path | None, max_tokens: int | None) -> RolePlan:
    """What one part reads."""
    kinds = [name for name in ("image", "features", "ids", "parts", "template") if getattr(role, name) is not None]
    if len(kinds) > 1 or kinds == ["parts"]:
        raise InputError(
            f"{where}: expected one of image, features, ids, or a template of text; found {' and '.join(kinds)}"
        )
    if role.features is not None:
        return RolePlan(features_input(role.features, where), "", None, "")
    if role.ids is not None:
        return RolePlan(IdsFrontend(**msgspec.structs.asdict(role.ids)), "", None, "")
    if role.image is not None:
        found = preparing(origin, role.image, base)
        given = found.image
        own = of_processor(origin.processor) if origin.processor is not None else of_folder(origin.folder)
        processor = own.processor if own is not None and own.image == given else None
        slots = max(1, given.size[0] * given.size[1] // 256)
        return RolePlan(given.frontend(slots), "", None, "", processor, given, reasons=found.reasons)
    if origin.tokenizer is None:
        raise ExportError(
            f"{where}: reads texts, and the model has no tokenizer; give it beside the model: (model, tokenizer)"
        )
    return RolePlan(text_frontend(role, origin, where, max_tokens), "", origin.tokenizer, "")


def _inputs(
    name: str, part: str | None, frontend: Frontend, axes: dict[str, int]
) -> list[tuple[Input, Shape, tuple[str, ...]]]:
    """The inputs that a part can fill, each with its shape and the arguments of a body that it may be."""
    mask = MASK if part is None else f"{name}_mask"

    def entry(tensor: str, source: str, dtype: Any = "int64") -> Input:
        return Input(name=tensor, dtype=dtype, source=source, part=part)

    if isinstance(frontend, ImageFrontend):
        return [(entry(name, "pixels", frontend.dtype), frontend.shape, (name, "pixel_values"))]
    if isinstance(frontend, FeaturesFrontend):
        shape: Shape = tuple(frontend.shape)
        if frontend.any_rows:
            axes[f"{name}_rows"] = frontend.max
            shape = (f"{name}_rows", frontend.dim)
        found: list[tuple[Input, Shape, tuple[str, ...]]] = [(entry(name, "features", frontend.dtype), shape, (name,))]
        return [*found, (entry(mask, "mask"), shape[:1], (f"{name}_mask", mask))] if frontend.any_rows else found
    assert isinstance(frontend, TextFrontend | IdsFrontend)
    axis: Shape = (frontend.fixed or f"{name}_tokens",)
    if frontend.fixed is None:
        axes[f"{name}_tokens"] = frontend.longest
    found = [
        (entry(name, "ids"), axis, (name, IDS)),
        (entry(mask, "mask"), axis, (f"{name}_mask", MASK)),
        (entry(f"{name}_types", "types"), axis, (f"{name}_types",)),
        (entry(f"{name}_pool", "pool_mask"), axis, (f"{name}_pool",)),
        (entry(f"{name}_length", "length"), (), (f"{name}_length",)),
    ]
    return found if isinstance(frontend, TextFrontend) else [found[i] for i in (0, 1, 4)]


def _taken(body: Any) -> tuple[set[str], bool]:
    """The arguments of a body by name, and whether it takes any others."""
    parameters = inspect.signature(body.forward).parameters
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    named = {
        name
        for name, one in parameters.items()
        if one.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    }
    return named, open_ended and not named


def _short(shape: Shape) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else _FEW for size in shape)


def _value(entry: Input) -> int:
    return {"mask": 1, "pool_mask": 1, "length": _FEW}.get(entry.source, 0)


def _as_it_is(_: type, value: object) -> object:
    return value
