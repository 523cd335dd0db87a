"""The recipe of a model with a head for classes: a reranker that scores pairs, or a classifier of texts."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from embedkit.errors import ExportError
from embedkit_export.recipes.outputs import Logits
from embedkit_export.recipes.recipe import Inferred, Recipe
from embedkit_export.sources import routes as pipelines
from embedkit_export.sources.load import Source

OUTPUT = "logits"
PAIR = ["{query}", "{document}"]
_ACTIVATIONS: dict[str, Literal["identity", "sigmoid", "softmax", "tanh"]] = {
    "Identity": "identity",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Tanh": "tanh",
}


def inferred(origin: Source) -> Inferred:
    """The recipe of a CrossEncoder: of one number for a pair a reranker, of several a classifier of pairs. Raises
    `ExportError` naming what cannot be exported."""
    model = origin.model
    pipe = pipelines.pipeline(model, "default")
    names = [type(module).__name__ for module in pipe]
    if names != ["Transformer"] or not _has_classes(origin.whole):
        what = f"{', '.join(names)} with {type(origin.whole or origin.backbone).__name__}"
        raise ExportError(
            f"modules: expected one Transformer with a head for classes (...ForSequenceClassification), found {what}"
        )
    function = type(model.activation_fn).__name__
    if function not in _ACTIVATIONS:
        raise ExportError(
            f"activation: expected one of {', '.join(_ACTIVATIONS)}, found {function}; set activation_fn to one of these"
        )
    prompts = {name: prompt for name, prompt in pipelines.prompts(model).items() if prompt}
    if prompts:
        raise ExportError(
            f"prompts: a pair has none here, and this model has {', '.join(prompts)}; give its template in a recipe"
        )
    return _inferred(
        origin, PAIR, _ACTIVATIONS[function], pipe[0].max_seq_length, f"activation: {function} of the CrossEncoder"
    )


def of_texts(origin: Source, *, pairs: bool) -> Inferred:
    """The recipe of a transformers model with a head for classes, which reads texts or pairs."""
    if not _has_classes(origin.whole):
        raise ExportError(
            f"{origin.name}: {type(origin.whole or origin.backbone).__name__} has no head for classes; expected a "
            "...ForSequenceClassification"
        )
    config = origin.whole.config
    several = getattr(config, "problem_type", None) == "multi_label_classification" or config.num_labels == 1
    function: Literal["sigmoid", "softmax"] = "sigmoid" if several else "softmax"
    why = f"activation: {function}, for {config.num_labels} label(s), problem type {getattr(config, 'problem_type', None)}"
    return _inferred(origin, PAIR if pairs else "{text}", function, None, why)


def _inferred(
    origin: Source,
    template: str | list[str],
    activation: Literal["identity", "sigmoid", "softmax", "tanh"],
    max_tokens: int | None,
    why: str,
) -> Inferred:
    config = origin.whole.config
    names = getattr(config, "id2label", None) or {}
    labels = [str(names.get(i, f"LABEL_{i}")) for i in range(config.num_labels)]
    head = Logits(labels=labels if len(labels) > 1 else [], activation=activation)
    recipe = Recipe(dense=False, outputs={OUTPUT: head}, template=template, max_tokens=max_tokens)
    reasons = [f"head: {type(origin.whole).__name__}, {config.num_labels} numbers", why]
    return Inferred(recipe, reasons)


def _has_classes(whole: Any) -> bool:
    return isinstance(whole, nn.Module) and type(whole).__name__.endswith("ForSequenceClassification")
