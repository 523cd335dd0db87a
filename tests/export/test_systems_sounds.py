"""Published systems that read sounds: each as its recipe says, against torch code written here, and what comes of the usual mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

import embedkit
import embedkit_export
from embedkit import Audio, Encoder
from embedkit.runtime.frontends.audio.modality import AudioModality
from embedkit_export.recipes.audio import AudioInput
from embedkit_export.sources.media.extractors import of_extractor
from helpers.audio_models import cosines, pair, same_alone, saved, single, sound

SECONDS = [0.31, 1.2, 0.31, 1.9, 0.7]
TEXTS = ["a dog barks", "rain on a roof", "somebody plays a slow tune on a piano"]


# TeminAL: CLAP's two towers, log-mels of repeated clips, classes by prompts


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any, Path]:
    where = tmp_path_factory.mktemp("clap")
    model, tokenizer, extractor = pair()
    recipe = where / "recipe.toml"
    recipe.write_text(
        """[roles.audio.audio]
rate = 48000
most = 96000
fill = "repeatpad"
cut = "head"
mel = "auto"
"""
    )
    report = embedkit_export.export(
        saved(where / "model", model, tokenizer, extractor), recipe=recipe, output=where / "bundle", timing=False
    )
    return model, tokenizer, extractor, report.path


def clap_sounds(model: Any, features: Any) -> np.ndarray:
    """(n, dim) of unit length: ClapModel's own vectors of mels."""
    with torch.no_grad():
        out = model.audio_model(input_features=torch.as_tensor(features)).pooler_output
        return torch.nn.functional.normalize(model.audio_projection(out), dim=-1).numpy()


def clap_texts(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    with torch.no_grad():
        rows = [
            model.text_projection(model.text_model(**tokenizer(text, return_tensors="pt")).pooler_output)[0]
            for text in texts
        ]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1).numpy()


def test_clap_towers_are_compared(clap: tuple[Any, Any, Any, Path]) -> None:
    model, tokenizer, extractor, path = clap
    encoder = Encoder.load(path, variant="fp32")
    clips = [sound(seconds, 48_000, seed) for seed, seconds in enumerate(SECONDS)]
    items = [Audio(clip, 48_000) for clip in clips]
    features = np.stack(
        [extractor(clip, sampling_rate=48_000, return_tensors="np")["input_features"][0] for clip in clips]
    )
    own = AudioModality(encoder.modality("audio").frontend, [])
    own.open(encoder.bundle.path)
    assert np.abs(own.prepared(items)["features"] - features).max() < 1e-3
    expected = clap_sounds(model, features)
    found = encoder.encode(items, role="audio")
    assert np.abs(found - expected).max() < 1e-4
    assert np.array_equal(encoder.encode_audio([(clip, 48_000) for clip in clips]), found)
    assert np.array_equal(encoder.encode(items), found)  # what an item is tells its role
    same_alone(encoder, found, items)
    words = clap_texts(model, tokenizer, TEXTS)
    assert np.abs(encoder.encode(TEXTS) - words).max() < 1e-4
    assert np.abs(encoder.similarity(encoder.encode(TEXTS), found) - words @ expected.T).max() < 1e-4
    small = Encoder.load(path, variant="int8")
    rounded = small.encode(items)
    same_alone(small, rounded, items)
    assert cosines(rounded, expected).min() > 0.99
    assert embedkit.verify(path).passed


def test_clap_classes_by_prompts(clap: tuple[Any, Any, Any, Path]) -> None:
    model, tokenizer, extractor, path = clap
    encoder = Encoder.load(path, variant="fp32")
    names, prompts = ["dog", "rain", "piano"], ["the sound of {}", "{} can be heard"]
    clip = sound(1.1, 48_000, 7)
    means = np.stack([encoder.encode([p.format(name) for p in prompts]).mean(axis=0) for name in names])
    found = encoder.similarity(encoder.encode((clip, 48_000)), means)
    torchs = np.stack([clap_texts(model, tokenizer, [p.format(name) for p in prompts]).mean(axis=0) for name in names])
    torchs /= np.linalg.norm(torchs, axis=1, keepdims=True)
    expected = (
        clap_sounds(model, extractor(clip, sampling_rate=48_000, return_tensors="np")["input_features"]) @ torchs.T
    )
    assert np.abs(found - expected).max() < 1e-4
    assert np.argsort(found[0]).tolist() == np.argsort(expected[0]).tolist()


@pytest.mark.parametrize("mistake", ["zeros for repeats", "htk mels"])
def test_clap_prepared_otherwise_is_another_vector(mistake: str, tmp_path: Path) -> None:
    model, _, extractor = pair()
    right = of_extractor(extractor).audio
    mel: Any = right.mel
    wrong = msgspec.structs.replace(right, fill="zeros")
    if mistake == "htk mels":
        wrong = msgspec.structs.replace(right, mel=msgspec.structs.replace(mel, scale="htk", norm="none"))
    clip = Audio(sound(0.6, 48_000, 3), 48_000)
    features = [_prepared(audio, clip, tmp_path) for audio in (right, wrong)]
    theirs = extractor(clip.samples, sampling_rate=48_000, return_tensors="np")["input_features"]
    assert np.abs(features[0] - theirs).max() < 1e-3 < 1 < np.abs(features[1] - theirs).max()
    good, bad = (clap_sounds(model, one) for one in features)
    assert np.abs(good - clap_sounds(model, theirs)).max() < 1e-4
    assert np.abs(bad - clap_sounds(model, theirs)).max() > 1e-2


def _prepared(audio: AudioInput, clip: Audio, folder: Path) -> np.ndarray:
    mel: Any = audio.mel
    np.savez(folder / "frontend.npz", **mel.arrays(audio.rate))
    modality = AudioModality(audio.frontend(file="frontend.npz", convolutions=[], batch="fixed"), [])
    modality.open(lambda name: folder / name)
    return np.asarray(modality.prepared([clip])["features"])


# COCONUT: the mean of a speech encoder's frames


@pytest.fixture(scope="module", params=["wav2vec2", pytest.param("wav2vec2-layer", marks=pytest.mark.slow)])
def speech(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any, Path]:
    where = tmp_path_factory.mktemp(request.param)
    model, extractor = single(request.param)
    given = embedkit_export.Recipe(audio={"rate": 16_000, "wave": "standardize"}, pooling="mean")
    report = embedkit_export.export((model, extractor), recipe=given, output=where / "bundle", timing=False)
    return request.param, model, extractor, report.path


def means(model: Any, extractor: Any, clips: list[np.ndarray]) -> np.ndarray:
    """(n, dim): the mean over the frames of each clip by itself."""
    rows = []
    with torch.no_grad():
        for clip in clips:
            values = extractor(clip, sampling_rate=16_000, return_tensors="pt")["input_values"]
            rows.append(model(values).last_hidden_state[0].mean(dim=0))
    return torch.stack(rows).numpy()


def test_speech_is_the_mean_of_its_frames(speech: tuple[str, Any, Any, Path]) -> None:
    kind, model, extractor, path = speech
    clips = [sound(seconds, 16_000, seed) for seed, seconds in enumerate(SECONDS)]
    items = [Audio(clip, 16_000) for clip in clips]
    expected = means(model, extractor, clips)
    for variant in ("fp32", "int8"):
        encoder = Encoder.load(path, variant=variant)
        found = encoder.encode(items)
        same_alone(encoder, found, items)
        if variant == "fp32":
            assert np.abs(found - expected).max() < 1e-4
        assert cosines(found, expected).min() > 0.99
    frontend: Any = encoder.modality().frontend
    assert frontend.batch == ("equal" if kind == "wav2vec2" else "longest")
    assert embedkit.verify(path).passed


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-layer"])
def test_padding_and_frames_that_are_counted_otherwise(kind: str) -> None:
    """A short clip beside a long one: group normalisation sees what it is filled with, and frames are not samples by the stride."""
    model, extractor = single(kind)
    clips = [sound(0.31, 16_000, 0), sound(1.9, 16_000, 3)]
    alone = means(model, extractor, clips[:1])[0]
    short, long = (extractor(clip, sampling_rate=16_000, return_tensors="pt")["input_values"][0] for clip in clips)
    batch = torch.stack([torch.nn.functional.pad(short, (0, len(long) - len(short))), long])
    mask = (torch.arange(len(long))[None] < torch.tensor([[len(short)], [len(long)]])).long()
    frames = (
        of_extractor(extractor)
        .audio.frontend(file="", convolutions=[[10, 5], [5, 4], [3, 2]], batch="longest")
        .frames(len(short))
    )
    assert frames == model._get_feat_extract_output_lengths(len(short))
    with torch.no_grad():
        beside = model(batch, attention_mask=mask).last_hidden_state[0]
    right = np.abs(beside[:frames].mean(dim=0).numpy() - alone).max()
    by_stride = len(short) // (5 * 4 * 2)
    wrong = np.abs(beside[:by_stride].mean(dim=0).numpy() - alone).max()
    if kind == "wav2vec2":
        assert right > 1e-3  # so such clips go together only where they are of one length
    else:
        assert right < 1e-4
    assert by_stride != frames
    assert wrong > 1e-3
