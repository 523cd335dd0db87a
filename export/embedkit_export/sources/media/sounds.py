"""Models that read sounds: whether one does, and the part of it that gives their tokens."""

from __future__ import annotations

from typing import Any

from embedkit.bundle.frontends.audio import Convolution

_FIXED = ("ASTModel", "ClapAudioModel", "WhisperEncoder")
"""What reads the energies of bands, of clips of a fixed size."""


def reads_sounds(model: Any) -> bool:
    """Whether a transformers model reads sounds alone, in a way that is known here."""
    if hasattr(model, "text_model"):
        return False
    return is_known(body(model))


def is_known(part: Any) -> bool:
    """Whether a body reads sounds in a way that is known here."""
    return is_wave(part) or type(part).__name__ in _FIXED


def reads_both(model: Any) -> bool:
    """Whether a transformers model has an encoder of texts and one of sounds, whose vectors are compared (CLAP)."""
    return all(
        hasattr(model, name) for name in ("text_model", "audio_model", "get_audio_features", "get_text_features")
    )


def is_wave(part: Any) -> bool:
    """Whether a body reads samples by convolutions (Wav2Vec2, HuBERT, WavLM)."""
    names = ("feature_extractor", "feature_projection", "encoder")
    return all(hasattr(part, name) for name in names) and hasattr(getattr(part, "config", None), "conv_stride")


def body(model: Any) -> Any:
    """The part of a model of sounds that gives token vectors or feature maps: without its head."""
    while getattr(model, "base_model", model) is not model:
        model = model.base_model
    model = getattr(model, "audio_model", model)
    encoder = getattr(model, "encoder", None)
    found = encoder if type(encoder).__name__ in _FIXED else model
    _without_fusion(found)
    return found


def convolutions(part: Any) -> list[Convolution]:
    """Kernels and strides of a body that reads samples."""
    config = part.config
    return [[int(kernel), int(stride)] for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True)]


def batch_of(part: Any) -> str:
    """How clips go through a body that reads samples together: one that normalises over time sees its padding."""
    return "equal" if getattr(part.config, "feat_extract_norm", "layer") == "group" else "longest"


def extractor_of(given: Any) -> Any:
    """The feature extractor in what stands beside a live model: itself, or that of a processor of texts and sounds."""
    inner = getattr(given, "feature_extractor", None)
    if inner is not None:
        return inner
    return given if hasattr(given, "sampling_rate") else None


def _without_fusion(part: Any) -> None:
    """CLAP fuses planes of clips that are longer than it reads; of one that is read in its length there is one plane."""
    encoder: Any = getattr(part, "audio_encoder", None)
    if getattr(encoder, "enable_fusion", False):
        encoder.enable_fusion = False
        encoder.patch_embed.enable_fusion = False
