"""The recipe that a model states by itself: a sentence-transformers model's modules, or a model card's code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from torch import nn

from embedkit.errors import ExportError, InputError

from . import stages
from .recipe import Pooling, Recipe, Role
from .source import Source

_MODES = {
    "cls": "first",
    "mean": "mean",
    "max": "max",
    "lasttoken": "last",
    "weightedmean": "weighted_mean",
    "mean_sqrt_len_tokens": "mean_sqrt_length",
}
_SHORT = {"cls": "first", "first": "first", "mean": "mean", "max": "max", "last": "last", "pooler": "pooler"}


@dataclass
class Inferred:
    """A recipe, why each part of it is as it is, and what the user should know of it."""

    recipe: Recipe
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stated: bool = False
    """Whether the model itself is the reference: nothing of its own statement was changed."""


def infer(
    origin: Source, given: Recipe | None = None, *, pooling: str | None = None, normalize: bool | None = None
) -> Inferred:
    """The recipe of a source; what ``given`` sets (differs from an empty recipe in) takes the place of what was
    inferred. ``pooling`` and ``normalize`` say what a plain transformers folder does not. Raises `ExportError`."""
    if pooling is not None and pooling not in _SHORT:
        raise InputError(f"pooling: expected one of {', '.join(_SHORT)}, found {pooling!r}; a recipe file can say more")
    found = _from_modules(origin) if origin.model is not None else _from_card(origin)
    if pooling is not None or normalize is not None:
        if origin.model is not None:
            raise ExportError(
                f"{origin.name}: the model states its own pooling and normalisation; leave --pooling and --normalize out"
            )
        changes: dict[str, Any] = {"pooling": Pooling(mode=_SHORT[pooling])} if pooling else {}  # type: ignore[arg-type]
        if normalize is not None:
            changes["stages"] = [{"kind": "normalize"}] if normalize else []
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
        if changes:
            reasons = [*found.reasons, *(f"{name}: given by the recipe" for name in changes)]
            notes = [note for note in found.notes if "pooling" not in changes or "pooling" not in note]
            found = Inferred(msgspec.structs.replace(found.recipe, **changes), reasons, notes)
    return found


def _from_modules(origin: Source) -> Inferred:
    """The recipe of a SentenceTransformer."""
    model = origin.model
    modules = list(model)
    names = [type(module).__name__ for module in modules]
    place = names.index("Pooling") if "Pooling" in names else 0
    if names[:1] != ["Transformer"] or not place:
        raise ExportError(
            f"modules: expected Transformer, Pooling, then any of Dense, LayerNorm, Normalize; found {', '.join(names)}"
        )
    if origin.backbone is None or origin.tokenizer is None:
        raise ExportError("modules: the first module reads no text with a transformers model")
    before = [_stage(module, "token_embeddings") for module in modules[1:place]]
    after = [
        _stage(module, "sentence_embedding") for module in modules[place + 1 :] if type(module).__name__ != "Dropout"
    ]
    pool = modules[place]
    modes = [pool.pooling_mode] if isinstance(pool.pooling_mode, str) else list(pool.pooling_mode)
    unknown = [mode for mode in modes if mode not in _MODES]
    if unknown:
        raise ExportError(f"pooling: expected some of {', '.join(_MODES)}; found {unknown[0]!r}")
    similarity = model.similarity_fn_name or "cosine"
    if similarity not in ("cosine", "dot"):
        raise ExportError(f"similarity: expected cosine or dot, found {similarity!r}")
    prompts = _prompts(model)
    without = [] if pool.include_prompt else ["prefix"]
    roles = {
        name: Role(
            template=prompt.replace("{", "{{").replace("}", "}}") + "{text}", without=without if prompt else None
        )
        for name, prompt in prompts.items()
    }
    mapped = [_MODES[mode] for mode in modes]
    recipe = Recipe(
        pooling=Pooling(mode=mapped[0] if len(mapped) == 1 else mapped),  # type: ignore[arg-type]
        token_stages=before,
        stages=after,
        similarity="dot" if similarity == "dot" else "cosine",
        matryoshka=[model.truncate_dim] if model.truncate_dim else [],
        max_tokens=modules[0].max_seq_length,
        roles=roles,
    )
    reasons = [
        f"modules: {', '.join(names)} of the sentence-transformers model",
        f"pooling: {', '.join(modes)}" + ("" if pool.include_prompt else ", without the prompt"),
        f"similarity: {similarity}" + ("" if model.similarity_fn_name else " (sentence-transformers' default)"),
        f"max_tokens: {modules[0].max_seq_length} of the Transformer module",
        *(f"role {name}: the prompt {prompt!r}" for name, prompt in prompts.items() if prompt),
    ]
    notes = [
        f"the prompt {name!r} is the role {name!r}; as in sentence-transformers, encode_document does not use it"
        for name in ("passage", "corpus")
        if prompts.get(name) and prompts["document"] != prompts[name]
    ]
    return Inferred(recipe, reasons, notes, stated=True)


def _prompts(model: Any) -> dict[str, str]:
    """Roles as ``encode``, ``encode_query`` and ``encode_document`` of sentence-transformers resolve them."""
    given = {name: text or "" for name, text in model.prompts.items()}
    default = given.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    document = next((given[name] for name in ("document", "passage", "corpus") if name in given), default)
    return {**given, "default": default, "query": given.get("query", default), "document": document}


def _stage(module: Any, place: str) -> nn.Module:
    """The torch module of a sentence-transformers module before or after pooling."""
    name = type(module).__name__
    if name == "Dense":
        if (module.module_input_name, module.module_output_name) != (place,) * 2:
            where = "token vectors" if place.startswith("token") else "the sentence vector"
            raise ExportError(
                f"modules: a Dense module here is expected to be over {where}, found {module.module_input_name}"
            )
        layer = nn.Sequential(module.linear, module.activation_function)
        if getattr(module, "use_residual", False):
            return stages.Residual(layer, getattr(module, "residual", None))
        return layer
    if name == "LayerNorm" and place == "sentence_embedding":
        norm: nn.Module = module.norm
        return norm
    if name == "Normalize" and place == "sentence_embedding":
        return stages.Normalize()
    raise ExportError(
        f"modules: cannot export the module {name}; after pooling, Dense, LayerNorm and Normalize are known, before it Dense. "
        "Give the parts as objects of torch: embedkit_export.export((model, tokenizer), recipe=Recipe(...))"
    )


def _from_card(origin: Source) -> Inferred:
    """The recipe of a plain model: what its card's code does, else the mean of the token vectors."""
    card = (origin.folder / "README.md") if origin.folder else None
    text = card.read_text(encoding="utf-8", errors="replace") if card is not None and card.is_file() else ""
    code = "\n".join(re.findall(r"```(?:python|py)?\n(.*?)```", text, re.DOTALL))
    seen = {
        "last": re.search(r"last_token_pool|last_hidden_states?\[:, -1", code),
        "mean": re.search(r"mean_pool|average_pool|attention_mask.*sum\(|\.mean\((?:dim=)?1", code),
        "first": re.search(r"cls_pool|last_hidden_states?\[:, ?0|\[0\]\[:, 0", code),
        "pooler": re.search(r"pooler_output", code),
    }
    modes = [mode for mode, match in seen.items() if match]
    normal = re.search(r"F\.normalize\(|normalize_embeddings=True", code)
    after = [{"kind": "normalize"}] if normal else []
    if len(modes) != 1:
        note = "a plain transformers folder names no pooling: mean is used; pass --pooling or --recipe to change it"
        return Inferred(Recipe(), ["pooling: mean, because nothing says otherwise"], [note])
    match = seen[modes[0]]
    assert match is not None
    reasons = [f"pooling: {modes[0]}, because the model card's code has {match[0]!r}"]
    if normal:
        reasons.append(f"stages: normalize, because the model card's code has {normal[0]!r}")
    note = f"pooling {modes[0]!r}{' and unit length' if normal else ''} were read from the model card's code; check them with --dry-run"
    return Inferred(Recipe(pooling=Pooling(mode=modes[0]), stages=after), reasons, [note])  # type: ignore[arg-type]
