"""The steps that are read of a feature extractor, against what it does itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import transformers as tf

from embedkit import Audio
from embedkit.errors import ExportError
from embedkit.runtime.frontends.audio.batches import AudioPreparer
from embedkit.runtime.frontends.audio.mel import MelBank
from embedkit_export.recipes.audio import MelInput
from embedkit_export.sources.media.extractors import of_extractor
from helpers.audio_models import sound

EXTRACTORS = {
    "whisper": lambda: tf.WhisperFeatureExtractor(),
    "whisper 128": lambda: tf.WhisperFeatureExtractor(feature_size=128, chunk_length=3),
    "clap": lambda: tf.ClapFeatureExtractor(truncation="rand_trunc"),
    "clap fused": lambda: tf.ClapFeatureExtractor(truncation="fusion", padding="repeat"),
    "clap padded": lambda: tf.ClapFeatureExtractor(truncation="rand_trunc", padding="pad"),
    "ast": lambda: tf.ASTFeatureExtractor(),
    "wav2vec2": lambda: tf.Wav2Vec2FeatureExtractor(),
    "wav2vec2 plain": lambda: tf.Wav2Vec2FeatureExtractor(do_normalize=False),
}
WITHIN = {"whisper": 2e-5, "clap": 1e-4, "ast": 1e-5, "wav2vec2": 0.0}


def preparer(extractor: Any) -> AudioPreparer:
    audio = of_extractor(extractor).audio
    frontend = audio.frontend(file="frontend.npz", convolutions=[[10, 5]], batch="longest")
    if not isinstance(audio.mel, MelInput):
        return AudioPreparer(frontend, None)
    assert frontend.mel is not None
    return AudioPreparer(frontend, MelBank(frontend.mel, **audio.mel.arrays(audio.rate)))


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("seconds", [0.0713, 1.0, 2.3337])
def test_the_same_numbers(name: str, seconds: float) -> None:
    extractor = EXTRACTORS[name]()
    rate = extractor.sampling_rate
    samples = sound(seconds, rate)
    found = preparer(extractor).numbers(Audio(samples, rate), 0)
    given = extractor(samples, sampling_rate=rate, return_tensors="np")
    theirs = np.asarray(given["input_features"] if "input_features" in given else given["input_values"])[0]
    theirs = theirs[: len(found)] if theirs.ndim == 3 else theirs
    assert found.shape == theirs.shape
    assert found.dtype == np.float32
    assert np.abs(found - theirs).max() <= WITHIN[name.split()[0]]


def test_a_long_clip_is_read_from_its_head() -> None:
    extractor = EXTRACTORS["clap"]()
    samples = sound(12, 48_000)
    made = preparer(extractor)
    assert np.array_equal(made.numbers(Audio(samples, 48_000), 0), made.numbers(Audio(samples[:480_000], 48_000), 0))


def test_another_extractor_is_refused() -> None:
    with pytest.raises(ExportError, match="SpeechT5FeatureExtractor, which is not known here"):
        of_extractor(tf.SpeechT5FeatureExtractor())


def test_what_is_filled_with_a_number_is_refused() -> None:
    """Whisper's extractor fills with it; CLAP's has the same key and fills with 0."""
    short = sound(0.5)
    feature = [tf.WhisperFeatureExtractor(chunk_length=2, padding_value=value) for value in (0.0, 0.5)]
    made = [one(short, sampling_rate=16_000)["input_features"] for one in feature]
    assert np.abs(made[0] - made[1]).max() > 1e-3
    with pytest.raises(ExportError, match="padding_value"):
        of_extractor(feature[1])
    assert (
        of_extractor(tf.ClapFeatureExtractor(padding_value=0.5)).audio == of_extractor(tf.ClapFeatureExtractor()).audio
    )
