"""From a sound to the samples that a role reads: its rate, its length, its mean and deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import AudioFrontend
from embedkit.records.media import Audio
from embedkit.runtime.frontends.media import Undecodable, read_file
from embedkit.system.extras import needed

from .decoding import MAX_SOUND_BYTES, Waveform, check_length, one_channel, sound_of

_SCALES = {"int16": 1 << 15, "int32": 1 << 31}


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSound:
    """What was prepared before, such as the golden clips of a bundle: (samples,), or the numbers of a mel."""

    numbers: npt.NDArray[np.float32]


def wave(frontend: AudioFrontend, item: Any) -> Waveform:
    """The (samples,) float32 of a checked item as the frontend says, at its rate. Raises `Undecodable`."""
    samples, rate = waveform_of(item)
    check_length(len(samples), rate)
    if not len(samples):
        raise Undecodable("it has no sample; leave it out")
    if not np.isfinite(samples).all():
        raise Undecodable(
            f"sample {int(np.argmin(np.isfinite(samples)))} is no finite number; repair it, or leave it out"
        )
    samples = at_rate(samples, rate, frontend.rate)
    if len(samples) < frontend.least:
        raise Undecodable(
            f"{len(samples):,} samples at {frontend.rate:,} a second, and the model needs at least {frontend.least:,} "
            f"({frontend.least / frontend.rate:.3g} seconds); give a longer clip"
        )
    return fitted(frontend, samples)


def waveform_of(item: Any) -> tuple[Waveform, int]:
    """The samples of one channel of an item, and their rate."""
    if isinstance(item, Path):
        return sound_of(read_file(item, MAX_SOUND_BYTES))
    if item.data is not None:
        return sound_of(item.data)
    samples = item.samples
    if samples.dtype.kind == "i":
        samples = samples.astype(np.float32) / np.float32(_SCALES[samples.dtype.name])
    numbers = np.asarray(samples, dtype=np.float32)
    return (one_channel(numbers) if numbers.ndim == 2 else np.ascontiguousarray(numbers)), item.rate


def at_rate(samples: Waveform, rate: int, to: int) -> Waveform:
    """At another rate: ceil(n * to / rate) samples."""
    if rate == to:
        return samples
    library = needed("soxr", "sounds of another rate", extra="audio")
    count = math.ceil(len(samples) * to / rate)
    made = library.resample(samples, rate, to, quality="soxr_hq")
    return np.ascontiguousarray(np.pad(made, (0, max(0, count - len(made))))[:count], dtype=np.float32)


def fitted(frontend: AudioFrontend, samples: Waveform) -> Waveform:
    """Cut, rounded, standardised and filled."""
    if frontend.most is not None and len(samples) > frontend.most:
        start = (len(samples) - frontend.most) // 2 if frontend.cut == "center" else 0
        samples = samples[start : start + frontend.most]
    if frontend.int16:
        samples = (np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16).astype(np.float32) / np.float32(32767.0)
    if frontend.wave == "standardize":
        with np.errstate(over="ignore", invalid="ignore"):
            variance = samples.var()
            if not np.isfinite(variance):  # what is divided by infinity would be silence
                raise Undecodable("its numbers are too large; scale it to -1 to 1")
            samples = (samples - samples.mean()) / np.sqrt(variance + 1e-7)
        samples = samples.astype(np.float32, copy=False)
    if frontend.fill == "none" or frontend.most is None or len(samples) == frontend.most:
        return samples
    if frontend.fill == "repeat":
        return np.tile(samples, frontend.most // len(samples) + 1)[: frontend.most]
    if frontend.fill == "repeatpad":
        samples = np.tile(samples, frontend.most // len(samples))
    return np.pad(samples, (0, frontend.most - len(samples)))


def problem_of(item: Audio, where: str) -> str:
    """What is wrong with a sound of samples, as a sentence that begins with ``where``; empty where nothing is."""
    samples = item.samples
    if samples is None:
        return ""
    known = samples.dtype.kind == "f" or samples.dtype.name in _SCALES
    if samples.ndim not in (1, 2) or not known or (samples.ndim == 2 and not 0 < samples.shape[1] <= 64):
        return (
            f"{where}: expected (samples,) or (samples, channels) of floats, int16 or int32, found an array {samples.shape} of "
            f"{samples.dtype}; convert it"
        )
    return ""
