"""The recipe of a transformers model with a head for classes, and what others need to say of classes."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from embedkit.errors import ExportError
from embedkit_export.recipes.outputs import Logits
from embedkit_export.recipes.recipe import Inferred, Recipe
from embedkit_export.sources.source import Source

OUTPUT = "logits"
PAIR = ["{query}", "{document}"]
_ACTIVATIONS: dict[str, Literal["identity", "sigmoid", "softmax", "tanh"]] = {
    "Identity": "identity",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Tanh": "tanh",
}


def activation(function: Any) -> Literal["identity", "sigmoid", "softmax", "tanh"]:
    """The name of what makes scores of logits, of a module of torch. Raises `ExportError` for one that a bundle has not."""
    name = type(function).__name__
    if name not in _ACTIVATIONS:
        raise ExportError(
            f"activation: expected one of {', '.join(_ACTIVATIONS)}, found {name}; set activation_fn to one of these"
        )
    return _ACTIVATIONS[name]


def label_names(config: Any) -> list[str]:
    """The names of the classes, where there are several."""
    names = getattr(config, "id2label", None) or {}
    labels = [str(names.get(i, f"LABEL_{i}")) for i in range(config.num_labels)]
    return labels if len(labels) > 1 else []


def of_texts(origin: Source, *, pairs: bool) -> Inferred:
    """The recipe of a transformers model with a head for classes, which reads texts or pairs."""
    if not has_classes(origin.whole):
        raise ExportError(
            f"{origin.name}: {type(origin.whole or origin.backbone).__name__} has no head for classes; expected a "
            "...ForSequenceClassification"
        )
    config = origin.whole.config
    several = getattr(config, "problem_type", None) == "multi_label_classification" or config.num_labels == 1
    function: Literal["sigmoid", "softmax"] = "sigmoid" if several else "softmax"
    why = f"activation: {function}, for {config.num_labels} label(s), problem type {getattr(config, 'problem_type', None)}"
    head = Logits(labels=label_names(config), activation=function)
    recipe = Recipe(dense=False, outputs={OUTPUT: head}, template=PAIR if pairs else "{text}")
    return Inferred(recipe, [f"head: {type(origin.whole).__name__}, {config.num_labels} numbers", why])


def has_classes(whole: Any) -> bool:
    """Whether a transformers model has a head for classes."""
    return isinstance(whole, nn.Module) and type(whole).__name__.endswith("ForSequenceClassification")
