"""Models of sounds from torch to vectors: single ones, and those of texts and sounds in one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedkit
import embedkit_export
from embedkit import Audio, Encoder, InputError
from helpers.audio_models import SINGLE, audio_vectors, saved, single, sound
from helpers.slow import but

SECONDS = [0.31, 1.2, 0.31, 1.9, 0.7]


def given(rate: int) -> tuple[list[Any], list[Audio]]:
    clips = [sound(seconds, rate, seed) for seed, seconds in enumerate(SECONDS)]
    return clips, [Audio(clip, rate) for clip in clips]


@pytest.mark.parametrize("kind", but(["wav2vec2", "whisper"], SINGLE))
def test_a_model_of_sounds(kind: str, tmp_path: Path) -> None:
    model, extractor = single(kind)
    report = embedkit_export.export(
        saved(tmp_path / "model", model, extractor), output=tmp_path / "bundle", timing=False
    )
    encoder = Encoder.load(report.path, variant="fp32")
    clips, items = given(extractor.sampling_rate)
    found = encoder.encode(items)
    assert np.abs(found - audio_vectors(model, extractor, clips)).max() < 1e-4
    for item, vector in zip(items, found, strict=True):
        assert encoder.encode(item).tobytes() == vector.tobytes()
    assert np.array_equal(encoder.encode(items[::-1])[::-1], found)
    assert np.isfinite(encoder.encode(Audio(np.zeros(16_000, np.float32), 16_000))).all()  # silence has a vector
    assert embedkit.verify(report.path).passed
    assert "int8" in report.manifest.towers["default"].graph.variants
    assert any("drawn sounds" in note for note in report.notes)
    with pytest.raises(InputError, match=r"sound 1: .*needs at least"):
        encoder.encode([items[0], Audio(np.ones(3, np.float32), extractor.sampling_rate)])
