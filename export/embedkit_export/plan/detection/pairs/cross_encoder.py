"""The recipe of a CrossEncoder of sentence-transformers: a head for classes, a pooled vector with layers behind it, or the
logit of a word that a language model would say next."""

from __future__ import annotations

from typing import Any

from embedkit.errors import ExportError
from embedkit_export.plan.detection import dense as modules
from embedkit_export.plan.detection.classifier import OUTPUT, activation, check_head, has_classes, label_names
from embedkit_export.recipes.outputs import Logits
from embedkit_export.recipes.recipe import Inferred, Recipe, Role
from embedkit_export.sources import routes as pipelines
from embedkit_export.sources.source import Source

from . import template as templates


def inferred(origin: Source) -> Inferred:
    """The recipe of a CrossEncoder: of one number for a pair a reranker, of several a classifier of pairs. Raises
    `ExportError` naming what cannot be exported."""
    model = origin.model
    pipe = [module for module in pipelines.pipeline(model, "default") if type(module).__name__ != "Dropout"]
    names = [type(module).__name__ for module in pipe]
    if names == ["Transformer"] and has_classes(origin.whole):
        recipe, reasons = _by_classes(origin, model)
    elif names == ["Transformer", "LogitScore"]:
        recipe, reasons = _by_words(origin, model, pipe[1])
    elif names[0] == "Transformer" and "Pooling" in names and names[-1] == "Dense":
        recipe, reasons = _by_layers(model, pipe)
    else:
        what = f"{', '.join(names)} with {type(origin.whole or origin.backbone).__name__}"
        raise ExportError(
            "modules: expected one Transformer with a head for classes (...ForSequenceClassification), Transformer and LogitScore, or "
            f"Transformer, Pooling and layers that end with a Dense for the scores; found {what}"
        )
    reasons.append(f"activation: {type(model.activation_fn).__name__} of the CrossEncoder")
    prompts = _prompts(model)
    roles: dict[str, Role] = {}
    whole: dict[str, Any] = {}
    for name, prompt in prompts.items():
        found = templates.of_reader(pipe[0], prompt).options()
        if name == "default":
            whole = found
        elif found != whole:
            roles[name] = Role(**{key: value for key, value in found.items() if whole.get(key) != value})
        if prompt:
            reasons.append(f"role {name}: the prompt {prompt!r}")
    if whole.get("special_tokens") is False:
        reasons.append("template: what the chat template renders; special tokens are in it, and its end is never cut")
    return Inferred(
        Recipe(**{**recipe, **whole, "max_tokens": pipe[0].max_seq_length, "roles": roles, "dense": False}), reasons
    )


def _prompts(model: Any) -> dict[str, str]:
    """The prompts by role, as ``predict`` takes them: the default one, and those that its ``prompt_name`` can name."""
    given = {name: text for name, text in model.prompts.items() if text}
    default = given.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    return {"default": default, **{name: text for name, text in given.items() if name != "default"}}


def _by_classes(origin: Source, model: Any) -> tuple[dict[str, Any], list[str]]:
    check_head(origin)
    labels = label_names(origin.whole.config)
    head = Logits(labels=labels, activation=activation(model.activation_fn))
    return {"outputs": {OUTPUT: head}}, [
        f"head: {type(origin.whole).__name__}, {origin.whole.config.num_labels} numbers"
    ]


def _by_words(origin: Source, model: Any, score: Any) -> tuple[dict[str, Any], list[str]]:
    ids = [int(word) for word in (score.true_token_id, score.false_token_id) if word is not None]
    words = [origin.tokenizer.convert_ids_to_tokens(one) for one in ids]
    head = Logits(words=list(ids), activation=activation(model.activation_fn))
    less = f" less that of {words[1]!r}" if len(words) > 1 else ""
    return {"outputs": {OUTPUT: head}}, [f"head: LogitScore, the logit of {words[0]!r} behind the text{less}"]


def _by_layers(model: Any, pipe: list[Any]) -> tuple[dict[str, Any], list[str]]:
    parts = modules.parts(pipe[:-1])
    if not parts.include_prompt and any(model.prompts.values()):
        raise ExportError(
            "modules: Pooling: leaves out a prompt (include_prompt = false), which pairs cannot; set it to true"
        )
    last = modules.stage(pipe[-1], "sentence_embedding", gives="scores")
    several = pipe[-1].out_features > 1
    labels = label_names(pipe[0].config) if several else []
    if len(labels) != pipe[-1].out_features:
        labels = []
    head = Logits(stages=[last], labels=labels, activation=activation(model.activation_fn))
    names = ", ".join(type(module).__name__ for module in pipe)
    recipe = {
        "pooling": parts.pooling,
        "token_stages": parts.token_stages,
        "stages": parts.stages,
        "outputs": {OUTPUT: head},
    }
    return recipe, [f"modules: {names} of the sentence-transformers model", f"pooling: {parts.named}"]
