"""Sounds that every export of a model of sounds is judged on: drawn ones, usual and unusual, always the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import AudioFrontend
from embedkit.ingestion.readers.registry import SOUNDS
from embedkit.records.media import Audio
from embedkit.runtime.frontends.audio.decoding import soundfile
from embedkit_export.verification.sample import Sample

from .files import Fixed, holds, of_folder

_DRAWN = 40


def fixed(frontend: AudioFrontend) -> Fixed:
    """Golden clips, and unusual ones: silence, one tone, the shortest that is read, other rates, several channels."""
    rate = frontend.rate
    least = frontend.least / rate
    golden = tuple(
        Audio(data=wav(drawn(max(seconds, 2 * least), rate, seed), rate))
        for seed, seconds in enumerate([0.6, 1.7, 0.9, 2.4], 1)
    )
    two = np.stack([drawn(0.5 + least, 44_100, 11), drawn(0.5 + least, 44_100, 12)], axis=1)
    odd = [
        Audio(np.zeros(int(rate * 0.4) + frontend.least, np.float32), rate),
        Audio(drawn(least, rate, 13)[: frontend.least], rate),
        Audio(two, 44_100),
        Audio(drawn(0.7 + least, 8_000, 14), 8_000),
        Audio((np.sin(np.arange(int(rate * (0.5 + least))) * 0.05) * 32767).astype(np.int16), rate),
    ]
    return Fixed(golden, tuple(odd))


def sample(path: Path | None, rate: int) -> Sample:
    """The sounds of a folder (and of those in it), or drawn ones. Raises `InputError` where there are fewer than two."""
    if path is None:
        seconds = np.random.default_rng(0).uniform(0.3, 2.0, _DRAWN)
        made: tuple[Any, ...] = tuple(Audio(drawn(float(s), rate, 100 + i), rate) for i, s in enumerate(seconds))
        note = "calibrated and measured on drawn sounds, since no sample was given: measure quality on yours (--sample FOLDER)"
        return Sample("drawn sounds", made, notes=(note,))
    return of_folder(path, SOUNDS, "sound")


def holds_sounds(path: Path) -> bool:
    """Whether a folder holds sounds."""
    return holds(path, SOUNDS)


def drawn(seconds: float, rate: int, seed: int) -> npt.NDArray[np.float32]:
    """(samples,) from -1 to 1: tones that rise, fall and come in syllables, with noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(max(1, int(seconds * rate))) / rate
    out = rng.normal(0, rng.uniform(0.001, 0.05), len(t))
    for _ in range(int(rng.integers(2, 6))):
        low, bend, beat = rng.uniform(80, 1500), rng.uniform(-200, 200), rng.uniform(1, 8)
        loud = np.clip(np.sin(2 * np.pi * beat * t + rng.uniform(0, 6)), 0, 1)
        phase = 2 * np.pi * (low * t + bend * t**2 / 2)
        out += rng.uniform(0.05, 0.3) * loud * sum(np.sin(k * phase) / k for k in (1, 2, 3))
    return np.clip(out, -1, 1).astype(np.float32)


def wav(samples: npt.NDArray[np.float32], rate: int) -> bytes:
    """The bytes of a WAV file of 16 bits."""
    file = io.BytesIO()
    soundfile().write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
