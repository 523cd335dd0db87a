"""The recipe of a SentenceTransformer that reads pictures: what its modules are for each kind of item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedkit.errors import ExportError
from embedkit_export.plan.detection import dense
from embedkit_export.plan.detection.projection import has_projection
from embedkit_export.plan.detection.projection import inferred as of_projection
from embedkit_export.recipes.recipe import Inferred, Pooling, Recipe, Role
from embedkit_export.sources import routes
from embedkit_export.sources.media import pictured
from embedkit_export.sources.source import Source

from . import images

_MODES: dict[str, Any] = {"cls": "first", "mean": "mean", "max": "max", "lasttoken": "last"}


def is_pictured(origin: Source) -> bool:
    """Whether a SentenceTransformer reads pictures, alone or beside texts."""
    return type(origin.model).__name__ == "SentenceTransformer" and (origin.pictures or "image" in origin.routes)


def inferred(origin: Source, given: Recipe | None, base: Path | None) -> Inferred:
    """The recipe of such a model. Raises `ExportError` naming what cannot be exported."""
    model = origin.model
    common: dict[str, Any] = {"similarity": dense.similarity_of(model)}
    size = model.get_embedding_dimension() or 0
    if model.truncate_dim and (not size or model.truncate_dim <= size):
        common |= {"dim": model.truncate_dim, "matryoshka": [model.truncate_dim]}
    seen = origin if origin.pictures else origin.routes[images.PICTURES[-1]]
    stated = given.image if given is not None and origin.pictures else None
    if given is not None and images.PICTURES[-1] in given.roles:
        stated = given.roles[images.PICTURES[-1]].image
    found = images.preparing(seen, stated or "auto", base)
    pooling, stages, reasons = _seen(model, seen, found.image)
    reasons = [*found.reasons, *reasons]
    if origin.pictures:
        return Inferred(Recipe(pooling=pooling, stages=stages, image=found.image, **common), reasons)
    words, why, notes = _read(model, origin)
    image_role = Role(image=found.image, pooling=pooling, stages=stages)
    prompts = routes.prompts(model)
    roles = {name: images.with_template(words, prompts.get(name, prompts["default"])) for name in images.TEXTS}
    roles |= dict.fromkeys(images.PICTURES, image_role)
    return Inferred(Recipe(roles=roles, **common), [*why, *reasons], notes)


def _read(model: Any, origin: Source) -> tuple[Role, list[str], list[str]]:
    """The role of texts, why, and notes."""
    pipe = pictured.pipeline(model, "text")
    names = ", ".join(type(module).__name__ for module in pipe)
    why = [f"roles: {', '.join(images.TEXTS)} read texts: modules {names}"]
    if "Pooling" in names:
        parts = dense.parts(pipe)
        role = Role(
            pooling=parts.pooling, token_stages=parts.token_stages, stages=parts.stages, max_tokens=parts.max_tokens
        )
        return role, why, []
    behind = _behind(pipe)
    if has_projection(origin.whole):
        own = of_projection(origin)
        recipe = own.recipe
        role = Role(pooling=recipe.pooling, stages=[*recipe.stages, *behind], max_tokens=pipe[0].max_seq_length)
        return role, [*why, *own.reasons[:2]], []
    own = images.of_siglip_texts(origin)
    recipe = own.recipe
    note = (
        f"texts are padded to {recipe.pad} tokens, as the model was trained; sentence-transformers pads them to the longest of a batch, "
        "which gives other vectors"
    )
    role = Role(
        pooling=recipe.pooling,
        stages=[*recipe.stages, *behind],
        pad=recipe.pad,
        max_tokens=recipe.max_tokens,
        padding="read",
    )
    return role, [*why, *own.reasons], [note]


def _seen(model: Any, seen: Source, image: Any) -> tuple[Any, list[Any], list[str]]:
    """Pooling and stages of pictures, and why."""
    pipe = pictured.pipeline(model, "image")
    first, names = pipe[0], [type(module).__name__ for module in pipe]
    why = f"pictures: modules {', '.join(names)}"
    if first.module_output_name == "sentence_embedding":
        pooling, stages, reasons = images.pooled(seen, image)
        return pooling, [*stages, *_behind(pipe)], [why, *reasons]
    output = first.modality_config["image"]["method_output_name"]
    if names[1:2] != ["Pooling"] or output not in ("last_hidden_state", ("last_hidden_state",), ["last_hidden_state"]):
        raise ExportError(
            f"modules: expected Transformer, Pooling, then any of Dense, LayerNorm, Normalize for pictures; {why}"
        )
    modes = [pipe[1].pooling_mode] if isinstance(pipe[1].pooling_mode, str) else list(pipe[1].pooling_mode)
    unknown = [mode for mode in modes if mode not in _MODES]
    if unknown:
        raise ExportError(f"pooling: of pictures expected some of {', '.join(_MODES)}; found {unknown[0]!r}")
    mapped = [_MODES[mode] for mode in modes]
    pooling = Pooling(mode=mapped[0] if len(mapped) == 1 else mapped)
    return pooling, [dense.stage(module, "sentence_embedding") for module in _kept(pipe[2:])], [why]


def _behind(pipe: list[Any]) -> list[Any]:
    return [dense.stage(module, "sentence_embedding") for module in _kept(pipe[1:])]


def _kept(modules: list[Any]) -> list[Any]:
    return [module for module in modules if type(module).__name__ != "Dropout"]
