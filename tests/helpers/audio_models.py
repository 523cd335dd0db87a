"""Small models of sounds of the real classes, with random weights, and their feature extractors; and sounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tf

from helpers import models

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WAVES = {
    **SMALL,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 3, 2),
    "conv_stride": (5, 4, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
CLAP = {
    "spec_size": 64,
    "num_mel_bins": 16,
    "window_size": 4,
    "patch_embeds_hidden_size": 16,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "hidden_size": 32,
    "projection_dim": 24,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "fusion_type": None,
}


def single(kind: str) -> tuple[Any, Any]:
    """A model of sounds and its feature extractor."""
    torch.manual_seed(0)
    if kind in ("wav2vec2", "wav2vec2-layer", "hubert", "wavlm"):
        norm = "layer" if kind != "wav2vec2" else "group"
        name = {"hubert": "Hubert", "wavlm": "WavLM"}.get(kind, "Wav2Vec2")
        more = {"feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer", "conv_bias": norm == "layer"}
        model: Any = getattr(tf, f"{name}Model")(getattr(tf, f"{name}Config")(**WAVES, **more))
        extractor: Any = tf.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")
    elif kind == "whisper":
        sizes = {"encoder_layers": 2, "encoder_attention_heads": 4, "decoder_layers": 1, "decoder_attention_heads": 4}
        config = tf.WhisperConfig(
            d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=100, max_source_positions=100, **sizes
        )
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"):
            setattr(config, name, 1)
        model, extractor = tf.WhisperModel(config), tf.WhisperFeatureExtractor(chunk_length=2)
    elif kind == "ast":
        model = tf.ASTModel(tf.ASTConfig(**SMALL, max_length=100, num_mel_bins=32))
        extractor = tf.ASTFeatureExtractor(max_length=100, num_mel_bins=32)
    else:
        model = tf.ClapAudioModelWithProjection(tf.ClapAudioConfig(**CLAP))
        extractor = clap_extractor()
    models.widen(model)
    return model.eval(), extractor


SINGLE = ("wav2vec2", "wav2vec2-layer", "hubert", "wavlm", "whisper", "ast", "clap")


def clap_extractor(**options: Any) -> Any:
    """Of clips of two seconds, with bands for the small model."""
    return tf.ClapFeatureExtractor(
        feature_size=16, max_length_s=2, truncation=options.pop("truncation", "rand_trunc"), **options
    )


def sound(seconds: float, rate: int = 16_000, seed: int = 0, channels: int = 1) -> Any:
    """(samples,) or (samples, channels) float32: tones and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate))[:, None] / rate
    tones = sum(np.sin(2 * np.pi * f * t * (1 + 0.1 * np.arange(channels))) for f in rng.uniform(90, 3000, 4))
    out = (0.1 * tones * (0.5 + 0.5 * np.sin(9 * t)) + rng.normal(0, 0.02, (len(t), channels))).astype(np.float32)
    return out[:, 0] if channels == 1 else out


def audio_vectors(model: Any, extractor: Any, sounds: list[Any]) -> Any:
    """(n, dim) float32: the vectors that transformers gives of samples at the extractor's rate, each by itself."""
    rows = []
    with torch.no_grad():
        for samples in sounds:
            given = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="pt")
            values = given["input_features"] if "input_features" in given else given["input_values"]
            if hasattr(model, "get_audio_features"):
                out = model.get_audio_features(input_features=values.float())
                rows.append((out if isinstance(out, torch.Tensor) else out.pooler_output)[0])
            elif hasattr(model, "audio_projection"):
                rows.append(model(values.float()).audio_embeds[0])
            elif hasattr(model, "encoder") and type(model.encoder).__name__ == "WhisperEncoder":
                rows.append(model.encoder(values).last_hidden_state[0].mean(dim=0))
            else:
                out = model(values)
                pooled = getattr(out, "pooler_output", None)
                rows.append(out.last_hidden_state[0].mean(dim=0) if pooled is None else pooled[0])
    return torch.stack(rows).numpy()


def saved(folder: Path, *parts: Any) -> Path:
    """All parts in one folder, as transformers keeps them."""
    for part in parts:
        part.save_pretrained(folder)
    return folder
