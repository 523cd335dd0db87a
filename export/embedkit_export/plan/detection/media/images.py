"""The recipe of models that read pictures, alone or beside texts: how their own vectors come out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from embedkit.errors import ExportError
from embedkit_export.modules.images.attentive import AttentiveHead, is_attentive
from embedkit_export.modules.images.pixels import as_tokens
from embedkit_export.modules.images.queries import is_querying
from embedkit_export.modules.layers import Normalize
from embedkit_export.modules.pooling import last
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.images import ImageInput, image_input
from embedkit_export.recipes.outputs import MultiVector
from embedkit_export.recipes.recipe import Inferred, Pooling, Recipe, Role
from embedkit_export.sources.media.preparing import Preparing
from embedkit_export.sources.media.processors import of_file, of_folder, of_processor
from embedkit_export.sources.routes import template
from embedkit_export.sources.source import Source

from .ways import Way, found_way

TEXTS, PICTURES = ("default", "query", "text"), ("document", "image")
"""The roles of a model of both: a question in words, and what is searched."""


def preparing(origin: Source, given: Any = "auto", base: Path | None = None) -> Preparing:
    """What is done to a picture: as a recipe's table says, or (``auto``, or a file's name) as the model's own files do. Raises
    `ExportError` and `InputError`."""
    if given not in (None, "auto"):
        if isinstance(given, str):
            beside = [where / given for where in (base, origin.folder) if where is not None]
            file = next((path for path in beside if path.is_file()), None)
            if file is None:
                raise ExportError(f"image: expected 'auto', a table or a file, found {given!r}, which is no file here")
            return of_file(file)
        return Preparing(image_input(given, "recipe"), ["image: given by the recipe"])
    found = of_processor(origin.processor) if origin.processor is not None else of_folder(origin.folder)
    if found is None:
        raise ExportError(
            f"{origin.name}: nothing says how its pictures are prepared: expected preprocessor_config.json beside the weights (save the "
            "processor with save_pretrained), or give a table in the recipe (image = {...})"
        )
    return found


def is_prepared(origin: Source, given: Recipe | None) -> bool:
    """Whether the recipe or the model's files say how pictures are prepared."""
    stated = given is not None and any(role.image is not None for role in given.roles.values())
    return stated or origin.processor is not None or of_folder(origin.folder) is not None


def of_one(origin: Source, given: Recipe | None, base: Path | None = None) -> Inferred:
    """The recipe of a model of pictures."""
    found = preparing(origin, given.image if given else "auto", base)
    if is_querying(origin.backbone) and (given is None or not given.outputs):
        return _of_queries(origin, found)
    stated = given is not None and given.pooling != Recipe().pooling
    pooling, stages, reasons = (Pooling(), [], []) if stated else pooled(origin, found.image)
    recipe = Recipe(pooling=pooling, stages=stages, image=found.image)
    return Inferred(recipe, [*found.reasons, *reasons])


def _of_queries(origin: Source, found: Preparing) -> Inferred:
    """The recipe of a model whose queries each give a vector (BLIP-2)."""
    projection = getattr(origin.backbone, "vision_projection", None)
    stages = [] if projection is None else [projection, Normalize()]
    queries = origin.backbone.query_tokens.shape[1]
    reasons = [
        f"outputs: a vector for each of the {queries} queries of {type(origin.backbone).__name__}"
        + (", projected and of unit length, as its image_embeds are" if stages else "")
    ]
    outputs = {"queries": MultiVector(stages=stages)}
    return Inferred(Recipe(dense=False, outputs=outputs, image=found.image), [*found.reasons, *reasons])


def of_both(origin: Source, texts: Inferred, given: Recipe | None, base: Path | None = None) -> Inferred:
    """The recipe of a model of texts and pictures; ``texts`` is that of its texts."""
    pictures = origin.routes[PICTURES[-1]]
    stated = given.roles.get(PICTURES[-1]) if given else None
    found = preparing(pictures, stated.image if stated is not None else "auto", base)
    pooling, stages, reasons = (
        (None, [], []) if stated is not None and stated.pooling is not None else pooled(pictures, found.image)
    )
    said = texts.recipe
    own = {
        name: getattr(said, name)
        for name in ("pooling", "stages", "pad", "padding", "max_tokens", "template")
        if getattr(said, name) != getattr(Recipe(), name)
    }
    text_role = Role(**{"pooling": said.pooling, "stages": said.stages, **own})
    image_role = Role(image=found.image, pooling=pooling, stages=stages)
    roles = {**dict.fromkeys(TEXTS, text_role), **dict.fromkeys(PICTURES, image_role)}
    why = [f"roles: {', '.join(TEXTS)} read texts, {', '.join(PICTURES)} pictures; their vectors are compared"]
    return Inferred(Recipe(roles=roles), [*why, *texts.reasons, *found.reasons, *reasons], texts.notes)


def merged(found: dict[str, Role], given: dict[str, Role]) -> dict[str, Role]:
    """The roles of a recipe with what a given one says of them."""
    out = dict(found)
    for name, role in given.items():
        kind = "image" if role.image is not None else "audio" if role.audio is not None else "text"
        before = found.get(name) or found[kind]
        said = {key: value for key, value in msgspec.structs.asdict(role).items() if value is not None}
        if "audio" in said:
            said["audio"] = before.audio  # which was read already
        if isinstance(said.get("image"), str):  # what was found for it stands there already
            said["image"] = before.image
        elif "image" in said:
            said["image"] = image_input(said["image"], f"role {name}")
        out[name] = msgspec.structs.replace(before, **said)
    return out


def of_siglip_texts(origin: Source) -> Inferred:
    """The recipe of texts whose last position is pooled, padding or not, through the head of the text model (SigLIP)."""
    text_model = origin.backbone
    length = int(text_model.config.max_position_embeddings)
    stated = getattr(origin.tokenizer, "model_max_length", None)
    length = min(length, stated) if isinstance(stated, int) else length
    recipe = Recipe(
        pooling=Pooling(mode="last", padding=True),
        stages=[text_model.head],
        pad=length,
        max_tokens=length,
        padding="read",
    )
    return Inferred(
        recipe,
        [
            f"pooling: the last of {length} positions, padding or not, as {type(text_model).__name__} does",
            f"stages: the head of {type(text_model).__name__}",
        ],
    )


def with_template(role: Role, prompt: str) -> Role:
    """A role of texts with a prompt before them."""
    return msgspec.structs.replace(role, template=template(prompt)) if prompt else role


def pooled(origin: Source, given: ImageInput) -> tuple[Any, list[Any], list[str]]:
    """Pooling and stages by which the model's own vectors of pictures come out, and why."""
    whole = origin.whole if origin.whole is not None else origin.backbone
    values = torch.randn(2, 3, *given.size, generator=torch.Generator().manual_seed(0))
    with quiet(), torch.no_grad():
        try:
            first = last(origin.backbone(values))
            hidden = as_tokens(first)
            expected, named = _own(whole, origin.backbone, values)
        except Exception as error:
            raise ExportError(
                f"{origin.name}: {type(origin.backbone).__name__} cannot be run on pictures of {given.size[0]} x {given.size[1]}: "
                f"{reason(error)}; give `image` in the recipe with the size that it reads"
            ) from error
        if expected is None:
            if first.ndim == 4:  # a map, of which no place stands for the whole
                return Pooling(mode="mean"), [], ["pooling: mean, as the model gives a map and no pooled vector"]
            return Pooling(mode="first"), [], ["pooling: first, as the model has no pooled vector of its own"]
        way = found_way(_ways(whole, origin.backbone), hidden, origin.backbone, expected)
    if way is not None:
        pooling, stages, said = way
        return pooling, stages, [f"pooling: {said}, by which {named} of {type(whole).__name__} comes out"]
    raise ExportError(
        f"{origin.name}: {type(whole).__name__} pools its pictures in a way that is not known here; give `pooling` and `stages` in the recipe"
    )


def _own(whole: Any, backbone: Any, values: Tensor) -> tuple[Tensor | None, str]:
    """The vectors that a model itself gives of pictures, and what it calls them."""
    if hasattr(whole, "get_image_features"):
        out = whole.get_image_features(pixel_values=values)
        return (out if isinstance(out, Tensor) else out.pooler_output), "get_image_features"
    if hasattr(whole, "visual_projection"):
        return whole(values).image_embeds, "image_embeds"
    found = getattr(backbone(values), "pooler_output", None)
    return (None if found is None else found.flatten(1)), "pooler_output"


def _ways(whole: Any, backbone: Any) -> Iterator[Way]:
    """Poolings with the stages behind them, the likelier first."""
    projection = getattr(whole, "visual_projection", None)
    behind = [] if projection is None else [projection]
    also = ", projection" * bool(behind)
    modes: tuple[Literal["first", "mean", "last"], ...] = ("first", "mean", "last")
    for name in ("post_layernorm", "layernorm"):
        norm = getattr(backbone, name, None)
        if norm is not None:
            for mode in modes[:2]:
                yield Pooling(mode=mode), [norm, *behind], f"{mode} token, {name}{also}"
    for mode in modes:
        yield Pooling(mode=mode), list(behind), f"{mode}{also}"
    if hasattr(getattr(backbone, "pooler", None), "dense"):
        yield Pooling(mode="pooler"), list(behind), "the model's pooler"
    if is_attentive(getattr(backbone, "head", None)):
        yield AttentiveHead(backbone.head), list(behind), "the model's attention to a learned probe"
