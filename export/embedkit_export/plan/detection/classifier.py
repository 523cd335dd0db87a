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
Activation = Literal["identity", "sigmoid", "softmax", "tanh"]
_ACTIVATIONS: dict[str, Activation] = {
    "Identity": "identity",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Tanh": "tanh",
}
_MEASURES = (
    f"this model measures (problem type regression) and chooses no classes: encode(texts, output={OUTPUT!r}) gives its numbers; a "
    "Classifier would make probabilities of them"
)


def activation(function: Any) -> Activation:
    """The name of what makes scores of logits, of a module of torch. Raises `ExportError` for one that a bundle has not."""
    return _named(type(function).__name__)


def _named(name: str) -> Activation:
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
    check_head(origin)
    config = origin.whole.config
    function, why = _of_pairs(config) if pairs else _of_classes(config)
    head = Logits(labels=label_names(config), activation=function)
    recipe = Recipe(dense=False, outputs={OUTPUT: head}, template=PAIR if pairs else "{text}")
    notes = [_MEASURES] if not pairs and function == "identity" else []
    reasons = [f"head: {type(origin.whole).__name__}, {config.num_labels} numbers", f"activation: {function}, {why}"]
    return Inferred(recipe, reasons, notes)


def _of_classes(config: Any) -> tuple[Activation, str]:
    """What transformers' pipeline of classes makes of the numbers, and why."""
    problem = getattr(config, "problem_type", None)
    why = f"for {config.num_labels} label(s), problem type {problem}"
    if problem == "regression":
        return "identity", why
    return ("sigmoid" if problem == "multi_label_classification" or config.num_labels == 1 else "softmax"), why


def _of_pairs(config: Any) -> tuple[Activation, str]:
    """What a CrossEncoder of sentence-transformers makes of the numbers, and why."""
    stated = (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
    stated = stated or getattr(config, "sbert_ce_default_activation_function", None)
    if stated:
        return _named(str(stated).rpartition(".")[2]), f"by the configuration ({stated})"
    return (
        "sigmoid" if config.num_labels == 1 else "identity"
    ), f"as a CrossEncoder takes it for {config.num_labels} label(s)"


def check_head(origin: Source) -> None:
    """Raise `ExportError` for a head for classes that reads what a decoder makes of the text (T5, BART)."""
    body = getattr(origin.whole, "base_model", None)
    if hasattr(body, "encoder") and hasattr(body, "decoder"):
        raise ExportError(
            f"{origin.name}: {type(origin.whole).__name__} reads its classes off its decoder, at the end of the text, and decoders behind an "
            "encoder are not exported: give a model with a head on its encoder (of BERT, DeBERTa, ModernBERT, ...) or on a decoder alone "
            "(Qwen3, Llama, ...); the vectors of its encoder are exported without --kind"
        )


def has_classes(whole: Any) -> bool:
    """Whether a transformers model has a head for classes."""
    return isinstance(whole, nn.Module) and type(whole).__name__.endswith("ForSequenceClassification")
