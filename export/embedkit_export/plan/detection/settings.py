"""What the configuration of sentence-transformers' Transformer module changes of a vector, beside the modules themselves:
honoured, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from embedkit.errors import ExportError
from embedkit_export.recipes.recipe import Inferred, Role
from embedkit_export.sources import routes as pipelines
from embedkit_export.sources.source import Source

_HARMLESS = {
    "padding", "pad_to_multiple_of", "padding_side", "return_tensors", "return_attention_mask", "return_token_type_ids", "return_length",
    "return_special_tokens_mask", "return_offsets_mapping", "verbose", "logits_to_keep", "clean_up_tokenization_spaces",
}  # fmt: skip
"""Options of a tokenizer's call that change no vector of a text, since a vector does not depend on its padding."""

_OUTPUTS = {"feature-extraction": "last_hidden_state", "fill-mask": "logits", "sequence-classification": "logits"}
"""What of the model's output is read, by the task."""


def with_settings(origin: Source, found: Inferred) -> Inferred:
    """What was inferred of a model of sentence-transformers, with the lengths that its Transformer modules state for a
    role. Raises `ExportError` naming a setting that a bundle cannot have."""
    model, recipe, reasons = origin.model, found.recipe, list(found.reasons)
    alone = type(model).__name__ in ("SentenceTransformer", "SparseEncoder")  # which read a text as one of a role
    roles = dict(recipe.roles)
    whole: dict[str, Any] = {}
    several = type(model).__name__ == "MultiVectorEncoder"  # whose lengths and expansion are its recipe's
    for name in sorted({"default", *roles, *(("query", "document") if roles else ())}):
        for module in _readers(model, name):
            stated = _checked(module)
            if getattr(module, "query_expansion", None) is not None and not several:
                raise ExportError(
                    "query_expansion: only vectors of single tokens are made of such questions; set it to null in "
                    "sentence_bert_config.json"
                )
            own = getattr(module, f"{name}_length", None) if alone else None
            length, key = (stated, "processing_kwargs") if stated else (own, f"{name}_length")
            if not length or (name in roles and roles[name].pad):
                continue
            if name == "default":
                whole["max_tokens"] = length
            roles[name] = msgspec.structs.replace(roles.get(name, Role()), max_tokens=length)
            reasons.append(f"role {name}: at most {length} tokens, by {key} of the Transformer module")
    if not recipe.roles:  # a CrossEncoder's, which has one role
        roles = {}
    changed = msgspec.structs.replace(recipe, **whole, roles=roles)
    return Inferred(changed, reasons, found.notes, stated=found.stated)


def _readers(model: Any, role: str) -> Iterator[Any]:
    """The Transformer modules that read a text in a role."""
    for module in pipelines.pipeline(model, role):
        if hasattr(module, "processing_kwargs") and hasattr(module, "modality_config"):
            yield module


def _checked(module: Any) -> int | None:
    """The length that the options of the tokenizer's call state, once everything else in them is known to be harmless."""
    task = module.transformer_task
    if task in _OUTPUTS:
        _check_modality(module.modality_config, _OUTPUTS[task])
    options = {**module.processing_kwargs.get("common", {}), **module.processing_kwargs.get("text", {})}
    length = options.pop("max_length", None)
    if options.pop("truncation", True) not in (True, "longest_first"):
        raise ExportError(
            "processing_kwargs: truncation: a bundle cuts what is too long at its end (longest_first), and this model states "
            f"{module.processing_kwargs}; set it to true in sentence_bert_config.json"
        )
    if options.get("add_special_tokens") is True:
        options.pop("add_special_tokens")
    other = sorted(options.keys() - _HARMLESS)
    if other:
        raise ExportError(
            f"processing_kwargs: {other[0]} = {options[other[0]]!r} is not known to a bundle; take it out of sentence_bert_config.json, "
            "or give the model and its tokenizer with a recipe"
        )
    return int(length) if length else None


def _check_modality(config: Any, output: str) -> None:
    """Raise `ExportError` where a text goes another way through the model than by its call."""
    if "message" in config:
        raise ExportError(
            "modality_config: this model puts a text into its chat template first (message), and a recipe has no such template of "
            "itself; give the transformers folder with a recipe whose template is what the chat template renders"
        )
    text = config.get("text") or {}
    named = text.get("method_output_name")
    named = named[0] if isinstance(named, list | tuple) and len(named) == 1 else named
    if text.get("method") != "forward" or named != output:
        raise ExportError(
            f"modality_config: expected {output} of the model's forward for a text, found {named!r} of {text.get('method')!r}; give "
            "the transformers folder with a recipe, which can name layers"
        )
