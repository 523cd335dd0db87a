"""Published systems that read sounds: each as its recipe says, against torch code written here, and what comes of the usual mistakes."""

from __future__ import annotations

import importlib.util
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


# Resemblyzer: a live module, windows of 160 frames, the mean of unit length


class Speaker(torch.nn.Module):
    """A speaker's vector of (batch, frames, bands), as in Wan et al. 2018."""

    def __init__(self, width: int = 16, layers: int = 2, bands: int = 40) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(bands, width, layers, batch_first=True)
        self.linear = torch.nn.Linear(width, width)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(mels)
        raw = torch.relu(self.linear(hidden[-1]))
        return raw / torch.norm(raw, dim=1, keepdim=True).clamp(min=1e-12)


MEL = {
    "frame": 400, "hop": 160, "bands": 40, "frames": 160, "high": 8000.0, "norm": "slaney", "floor": 1e-30, "log": "none",
    "layout": "frames",
}  # fmt: skip
WINDOWS = {"hop": 77, "least": 0.75, "reduce": "mean_normalize"}


def speaker_vector(model: torch.nn.Module, filters: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """Of one clip at 16 kHz, a window at a time."""
    frames = -(-(len(clip) + 1) // 160)
    starts = list(range(0, max(1, frames - 160 + 78), 77))
    if (len(clip) - starts[-1] * 160) / 25_600 < 0.75 and len(starts) > 1:
        starts.pop()
    padded = torch.from_numpy(np.pad(clip, (0, max(0, (starts[-1] + 160) * 160 - len(clip))))).double()
    spectrum = torch.stft(
        padded,
        400,
        160,
        window=torch.hann_window(400, dtype=torch.float64),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    energies = (spectrum.abs() ** 2).T @ torch.from_numpy(filters)
    with torch.no_grad():
        parts = torch.cat([model(energies[None, start : start + 160].float()) for start in starts])
    mean = parts.mean(dim=0)
    return (mean / mean.norm()).numpy()


def check_speaker(model: torch.nn.Module, where: Path) -> None:
    given = embedkit_export.Recipe(audio={"rate": 16_000, "mel": MEL, "windows": WINDOWS})
    report = embedkit_export.export(model, recipe=given, output=where / "bundle", timing=False)
    encoder = Encoder.load(report.path, variant="fp32")
    filters = np.load(report.path / "frontend.npz")["filters"]
    clips = [sound(seconds, 16_000, seed) for seed, seconds in enumerate([0.4, 1.7, 2.4, 5.1])]
    items = [Audio(clip, 16_000) for clip in clips]
    found = encoder.encode(items)
    assert np.abs(found - np.stack([speaker_vector(model, filters, clip) for clip in clips])).max() < 1e-4
    same_alone(encoder, found, items)
    assert encoder.outputs()["dense"].normalized
    assert embedkit.verify(report.path).passed


@pytest.mark.slow
def test_a_live_module_of_windows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    check_speaker(Speaker().eval(), tmp_path)


@pytest.mark.slow
def test_trained_speakers(tmp_path: Path) -> None:
    found = importlib.util.find_spec("resemblyzer")
    if found is None or found.origin is None:
        pytest.skip("the package Resemblyzer is not installed, which has the weights")
    model = Speaker(256, 3)
    model.load_state_dict(
        torch.load(Path(found.origin).parent / "pretrained.pt", map_location="cpu")["model_state"], strict=False
    )
    check_speaker(model.eval(), tmp_path)
