"""Which models read sounds, and in what way."""

from __future__ import annotations

import pytest

from embedkit_export.sources.media.sounds import (
    batch_of,
    body,
    convolutions,
    extractor_of,
    is_wave,
    reads_both,
    reads_sounds,
)
from helpers import models
from helpers.audio_models import SINGLE, single


@pytest.mark.parametrize("kind", SINGLE)
def test_of_sounds_alone(kind: str) -> None:
    model, extractor = single(kind)
    assert reads_sounds(model)
    assert not reads_both(model)
    inner = body(model)
    assert (inner is model) is (kind not in ("whisper", "clap"))
    assert is_wave(inner) is (kind in ("wav2vec2", "wav2vec2-layer", "hubert", "wavlm"))
    assert extractor_of(extractor) is extractor


def test_a_model_of_texts_reads_none() -> None:
    model, tokenizer = models.make("bert")
    assert not reads_sounds(model)
    assert not reads_both(model)
    assert extractor_of(tokenizer) is None


def test_how_clips_go_together() -> None:
    group, layer = (body(single(kind)[0]) for kind in ("wav2vec2", "wav2vec2-layer"))
    assert (batch_of(group), batch_of(layer)) == ("equal", "longest")
    assert convolutions(group) == [[10, 5], [3, 4], [2, 2]]


def test_planes_of_longer_clips_are_left_out() -> None:
    model, _ = single("clap")
    encoder = model.audio_model.audio_encoder
    encoder.enable_fusion = encoder.patch_embed.enable_fusion = True
    body(model)
    assert (encoder.enable_fusion, encoder.patch_embed.enable_fusion) == (False, False)


def test_the_extractor_of_a_processor() -> None:
    class Both:
        feature_extractor, tokenizer = "e", "t"

    assert extractor_of(Both()) == "e"
