"""The recipe that a model states by itself: a sentence-transformers model's modules, or a model card's code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from embedkit.errors import ExportError, InputError
from embedkit_export.recipes.recipe import Inferred, Pooling, Recipe
from embedkit_export.sources.source import Source

from . import classifier, dense, multivector, sparse
from .card import from_card
from .media import audio, images
from .media import pipelines as pictured
from .pairs import cross_encoder, language_model
from .projection import has_projection
from .projection import inferred as of_projection
from .settings import with_settings

_STATED = {
    "SentenceTransformer": dense.from_modules,
    "SparseEncoder": sparse.inferred,
    "MultiVectorEncoder": multivector.inferred,
    "CrossEncoder": cross_encoder.inferred,
}
"""What reads the recipe of each class of sentence-transformers."""

_SHORT = {"cls": "first", "first": "first", "mean": "mean", "max": "max", "last": "last", "pooler": "pooler"}


def infer(
    origin: Source,
    given: Recipe | None = None,
    *,
    kind: str = "auto",
    pooling: str | None = None,
    normalize: bool | None = None,
    base: Path | None = None,
) -> Inferred:
    """The recipe of a source; what ``given`` sets (differs from an empty recipe in) takes the place of what was
    inferred. ``pooling`` and ``normalize`` say what a plain transformers folder does not; files that
    it names are beside ``base``. Raises `ExportError`."""
    if pooling is not None and pooling not in _SHORT:
        raise InputError(f"pooling: expected one of {', '.join(_SHORT)}, found {pooling!r}; a recipe file can say more")
    if kind == "classifier":
        found = classifier.of_texts(origin, pairs=False)
    elif pictured.is_pictured(origin):
        found = pictured.inferred(origin, given, base)
    elif origin.model is not None:
        found = _STATED[type(origin.model).__name__](origin)
    elif kind == "reranker":
        classes = classifier.has_classes(origin.whole)
        found = classifier.of_texts(origin, pairs=True) if classes else language_model.inferred(origin, given)
    else:
        found = _of_plain(origin, given, base)
        known = language_model.published(origin)
        if known is not None and kind == "auto":
            found.notes.append(
                f"this looks like {known.name}, which scores pairs: pass --kind reranker to export it so"
            )
    if origin.model is not None and kind != "classifier" and not pictured.is_pictured(origin):
        found = with_settings(origin, found)
    if pooling is not None or normalize is not None:
        if origin.model is not None:
            raise ExportError(
                f"{origin.name}: the model states its own pooling and normalisation; leave --pooling and --normalize out"
            )
        changes: dict[str, Any] = {"pooling": Pooling(mode=_SHORT[pooling])} if pooling else {}  # type: ignore[arg-type]
        if normalize is not None:
            changes |= _normalized(found.recipe, normalize)
        reasons = [f"pooling: {pooling}, as asked for"] if pooling else found.reasons
        reasons += [] if normalize is None else [f"stages: {'' if normalize else 'not '}of unit length, as asked for"]
        found = Inferred(msgspec.structs.replace(found.recipe, **changes), reasons, [] if pooling else found.notes)
    if given is not None:
        empty = Recipe()
        changes = {
            name: getattr(given, name)
            for name in given.__struct_fields__
            if getattr(given, name) != getattr(empty, name) and name not in ("surgery", "model_class")
        }
        if found.recipe.image is not None:
            changes.pop("image", None)  # which was read already
        if found.recipe.audio is not None:
            changes.pop("audio", None)
        if found.recipe.roles and "roles" in changes:
            changes["roles"] = images.merged(found.recipe.roles, given.roles)
        if changes:
            reasons = [*found.reasons, *(f"{name}: given by the recipe" for name in changes)]
            notes = [note for note in found.notes if "pooling" not in changes or "pooling" not in note]
            found = Inferred(msgspec.structs.replace(found.recipe, **changes), reasons, notes)
    return found


def _normalized(recipe: Recipe, normalize: bool) -> dict[str, Any]:
    """What is changed for vectors of unit length, or not: of a model of pictures behind its own stages."""
    stage: list[Any] = [{"kind": "normalize"}] if normalize else []
    if recipe.roles:
        changed = {
            id(role): msgspec.structs.replace(role, stages=[*(role.stages or []), *stage])
            for role in recipe.roles.values()
        }
        return {"roles": {name: changed[id(role)] for name, role in recipe.roles.items()}}
    return {"stages": [*recipe.stages, *stage] if recipe.image is not None or recipe.audio is not None else stage}


def _of_plain(origin: Source, given: Recipe | None, base: Path | None) -> Inferred:
    """The recipe of a transformers model."""
    if given is not None and any(role.names_parts for role in given.all_roles()):
        return Inferred(Recipe(), ["parts of the model and of items are named by the recipe"])
    if "image" in origin.routes:
        siglip = not has_projection(origin.whole)
        texts = images.of_siglip_texts(origin) if siglip else of_projection(origin)
        if images.is_prepared(origin.routes["image"], given):
            return images.of_both(origin, texts, given, base)
        texts.notes.append(
            "its pictures are left out, since nothing says how they are prepared: save the image processor beside the weights "
            "(preprocessor_config.json), or give a table in the recipe ([roles.image] image = {...})"
        )
        return texts
    if "audio" in origin.routes:
        texts = of_projection(origin)
        if audio.is_heard(origin.routes["audio"], given):
            return audio.of_both(origin, texts, given)
        texts.notes.append(
            "its sounds are left out, since nothing says how they are prepared: save the feature extractor beside the weights "
            "(preprocessor_config.json), or give a table in the recipe ([roles.audio] audio = {...})"
        )
        return texts
    if origin.sounds:
        return audio.of_one(origin, given)
    if origin.pictures:
        return images.of_one(origin, given, base)
    return of_projection(origin) if has_projection(origin.whole) else from_card(origin)
