"""The recipe that a model states by itself: a sentence-transformers model's modules, or a model card's code."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from embedkit.errors import ExportError, InputError

from . import classifiers, colbert, modules, pipelines, splade
from .inferred import Inferred
from .recipe import Pooling, Recipe, Role
from .source import Source

_SHORT = {"cls": "first", "first": "first", "mean": "mean", "max": "max", "last": "last", "pooler": "pooler"}


def infer(
    origin: Source,
    given: Recipe | None = None,
    *,
    kind: str = "auto",
    pooling: str | None = None,
    normalize: bool | None = None,
) -> Inferred:
    """The recipe of a source; what ``given`` sets (differs from an empty recipe in) takes the place of what was
    inferred. ``pooling`` and ``normalize`` say what a plain transformers folder does not. Raises `ExportError`."""
    if pooling is not None and pooling not in _SHORT:
        raise InputError(f"pooling: expected one of {', '.join(_SHORT)}, found {pooling!r}; a recipe file can say more")
    if kind == "classifier":
        found = classifiers.of_texts(origin, pairs=False)
    else:
        found = _from_card(origin) if origin.model is None else _STATED[type(origin.model).__name__](origin)
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
    prompts = pipelines.prompts(model)
    pipes = {name: pipelines.pipeline(model, name) for name in prompts}
    found = {name: modules.parts(pipe) for name, pipe in pipes.items()}
    first, whole = pipes["default"], found["default"]
    if origin.backbone is None or origin.tokenizer is None:
        raise ExportError("modules: the first module reads no text with a transformers model")
    similarity = model.similarity_fn_name or "cosine"
    if similarity not in ("cosine", "dot"):
        raise ExportError(f"similarity: expected cosine or dot, found {similarity!r}")
    roles = {}
    for name, prompt in prompts.items():
        without = [] if found[name].include_prompt else ["prefix"]
        own: dict[str, Any] = {}
        if [id(module) for module in pipes[name]] != [id(module) for module in first]:
            parts = found[name]
            own = {"pooling": parts.pooling, "token_stages": parts.token_stages, "stages": parts.stages}
            own["max_tokens"] = parts.max_tokens or pipelines.ANY_LENGTH
        roles[name] = Role(template=pipelines.template(prompt), without=without if prompt else None, **own)
    recipe = Recipe(
        pooling=whole.pooling,
        token_stages=whole.token_stages,
        stages=whole.stages,
        similarity="dot" if similarity == "dot" else "cosine",
        matryoshka=[model.truncate_dim] if model.truncate_dim else [],
        max_tokens=whole.max_tokens,
        roles=roles,
    )
    names = ", ".join(type(module).__name__ for module in first)
    stated = (
        f"{whole.max_tokens} of the {type(first[0]).__name__} module"
        if whole.max_tokens
        else "as many as the tokenizer reads"
    )
    reasons = [
        f"modules: {names} of the sentence-transformers model",
        *(
            f"role {name}: its route's modules, {', '.join(type(module).__name__ for module in pipes[name])}"
            for name, role in roles.items()
            if role.pooling is not None
        ),
        f"pooling: {whole.named}" + ("" if whole.include_prompt else ", without the prompt"),
        f"similarity: {similarity}" + ("" if model.similarity_fn_name else " (sentence-transformers' default)"),
        f"max_tokens: {stated}",
        *(f"role {name}: the prompt {prompt!r}" for name, prompt in prompts.items() if prompt),
    ]
    notes = [
        f"the prompt {name!r} is the role {name!r}; as in sentence-transformers, encode_document does not use it"
        for name in ("passage", "corpus")
        if prompts.get(name) and prompts["document"] != prompts[name]
    ]
    return Inferred(recipe, reasons, notes, stated=True)


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


_STATED = {
    "SentenceTransformer": _from_modules,
    "SparseEncoder": splade.inferred,
    "MultiVectorEncoder": colbert.inferred,
    "CrossEncoder": classifiers.inferred,
}
"""What reads the recipe of each class of sentence-transformers."""
