"""The recipe of a late-interaction encoder: a vector for each token, compared by MaxSim (ColBERT)."""

from __future__ import annotations

from typing import Any

from embedkit.errors import ExportError
from embedkit_export.recipes.outputs import MultiVector
from embedkit_export.recipes.recipe import Inferred, Recipe, Role
from embedkit_export.sources import routes as pipelines
from embedkit_export.sources.source import Source

from . import dense as modules

OUTPUT = "multivector"


def inferred(origin: Source) -> Inferred:
    """The recipe of a MultiVectorEncoder, whether it was saved by sentence-transformers, PyLate or Stanford's ColBERT.
    Raises `ExportError` naming the module that cannot be exported."""
    model = origin.model
    prompts = pipelines.prompts(model)
    pipe = pipelines.pipeline(model, "default")
    for name in prompts:
        if [id(module) for module in pipelines.pipeline(model, name)] != [id(module) for module in pipe]:
            raise ExportError(f"modules: role {name!r} has modules of its own; expected one route for all roles")
    reader, stages, mask = _parts(pipe)
    head = MultiVector(stages=stages, similarity=model.similarity_fn_name)
    recipe = Recipe(
        dense=False,
        outputs={OUTPUT: head},
        max_tokens=reader.max_seq_length,
        roles={name: _role(name, prompt, reader, mask) for name, prompt in prompts.items()},
    )
    reasons = [
        f"modules: {', '.join(type(module).__name__ for module in pipe)} of the sentence-transformers model",
        f"similarity: {head.similarity}",
        *(reason for name, role in recipe.roles.items() for reason in _reasons(name, role, prompts[name])),
    ]
    return Inferred(recipe, reasons, stated=True)


def _parts(pipe: list[Any]) -> tuple[Any, list[Any], Any]:
    """The Transformer, the stages on its token vectors, and the MultiVectorMask or None."""
    reader, *after = pipe
    if type(reader).__name__ != "Transformer" or reader.transformer_task != "feature-extraction":
        raise ExportError(f"modules: expected a Transformer of a text encoder first, found {type(reader).__name__}")
    masks = [module for module in after if type(module).__name__ == "MultiVectorMask"]
    if len(masks) > 1:
        raise ExportError(f"modules: expected at most one MultiVectorMask, found {len(masks)}")
    if masks and masks[0].keep_only_token_ids:
        raise ExportError(
            "modules: MultiVectorMask: keep_only_token_ids keeps the places of an image, and a bundle reads text; set it to None"
        )
    pooled = next((type(module).__name__ for module in after if hasattr(module, "applies_to")), None)
    if pooled is not None:
        raise ExportError(
            f"modules: {pooled} joins the vectors of a text by its own clustering, which one graph cannot; export the model without it"
        )
    stages = [modules.stage(module, "token_embeddings") for module in after if module not in masks]
    return reader, stages, masks[0] if masks else None


def _role(name: str, prompt: str, reader: Any, mask: Any) -> Role:
    """A text without a task is scored as a document and cut as any text."""
    own: dict[str, Any] = {}
    if name == "query":
        own = _expansion(reader, kept=mask is not None)
    elif name == "document":
        own["max_tokens"] = reader.document_length
    skipped: list[str] = []
    if mask is not None and mask._skiplist_ids is not None:
        side = "query" if name == "query" else "document"
        if side in mask.skiplist_tasks:
            skipped = reader.tokenizer.convert_ids_to_tokens(mask._skiplist_ids.tolist())
    if own.get("pad_token") in skipped:
        raise ExportError(f"modules: the skiplist leaves out {own['pad_token']!r}, which queries are padded with")
    return Role(template=pipelines.template(prompt), without_tokens=sorted(set(skipped)), **own)


def _expansion(reader: Any, *, kept: bool) -> dict[str, Any]:
    """What a recipe says of a question's length, and of the tokens that fill it up; ``kept`` is whether these have
    vectors where the others do not see them."""
    stated = reader.query_expansion
    if stated is None:
        return {"max_tokens": reader.query_length}
    tokenizer, length = reader.tokenizer, stated["length"]
    own: dict[str, Any] = {
        "padding": "read" if stated["attend"] else "kept" if kept else "ignored",
        "pad_token": stated["token"] or tokenizer.mask_token or tokenizer.eos_token,
    }
    if stated["strategy"] == "fixed":
        return own | {"max_tokens": length, "pad": length}
    ceiling = reader.query_length or reader.max_seq_length
    return own | {"max_tokens": ceiling and max(ceiling, length), "pad_least": length}


def _reasons(name: str, role: Role, prompt: str) -> list[str]:
    found = [f"the prompt {prompt!r}"] if prompt else []
    length = role.pad or role.pad_least
    if length:
        seen = {"read": "seen by the others", "kept": "not seen by the others", "ignored": "without vectors"}
        at_least = "" if role.pad else "at least "
        found.append(f"{role.pad_token} up to {at_least}{length} tokens, {seen[role.padding or 'ignored']}")
    elif role.max_tokens:
        found.append(f"at most {role.max_tokens} tokens")
    if role.without_tokens:
        found.append(f"without the tokens {' '.join(role.without_tokens)}")
    return [f"role {name}: {what}" for what in found]
