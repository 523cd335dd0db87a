"""Models that read pictures: whether one does, and the part of it that gives their tokens."""

from __future__ import annotations

from typing import Any

PIXEL_VALUES = "pixel_values"


def reads_images(model: Any) -> bool:
    """Whether a transformers model reads pictures alone."""
    return getattr(model, "main_input_name", None) == PIXEL_VALUES and not hasattr(model, "text_model")


def reads_both(model: Any) -> bool:
    """Whether a transformers model has an encoder of texts and one of pictures, whose vectors are compared (CLIP, SigLIP)."""
    return all(
        hasattr(model, name) for name in ("text_model", "vision_model", "get_image_features", "get_text_features")
    )


def logit_scale(model: Any) -> tuple[float, float | None] | None:
    """What the cosines of a model of two kinds of items are multiplied by, and what is added where each is judged by itself
    (SigLIP); None where it has no such number. Of a model with one for each direction (CLAP) that of the items that are no
    text."""
    found: Any = None
    for name in ("logit_scale", "logit_scale_a"):
        found = getattr(model, name, None) if found is None else found
    if found is None:
        return None
    bias = getattr(model, "logit_bias", None)
    return float(found.detach().double().exp()), None if bias is None else float(bias.detach())


def body(model: Any) -> Any:
    """The part of a model of pictures that gives token vectors or feature maps: without its head."""
    if reads_both(model):
        return model.vision_model
    if hasattr(model, "qformer") and hasattr(model, "query_tokens"):  # whose queries are more than the body alone
        return model
    while getattr(model, "base_model", model) is not model:
        model = model.base_model
    return getattr(model, "vision_model", model)


def processor_of(given: Any) -> Any:
    """The image processor in what stands beside a live model: itself, or that of a processor of texts and pictures."""
    inner = getattr(given, "image_processor", None)
    if inner is not None:
        return inner
    return given if hasattr(given, "image_mean") or hasattr(given, "do_resize") else None


def tokenizer_of(given: Any) -> Any:
    """The tokenizer in what stands beside a live model: itself, or that of a processor of texts and pictures."""
    if processor_of(given) is None:
        return given
    return getattr(given, "tokenizer", None)
