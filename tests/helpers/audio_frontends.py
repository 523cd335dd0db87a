"""A small mel, with the filters of triangles that stand evenly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import AudioFrontend, Mel
from embedkit.runtime.frontends.audio.mel import MelBank


def mel(**options: Any) -> Mel:
    return Mel(**{"file": "frontend.npz", "frame": 200, "hop": 100, "fft": 256, "bands": 8, "frames": 20, **options})


def mel_frontend(slots: int = 20, **options: Any) -> AudioFrontend:
    return AudioFrontend(rate=16_000, least=200, mel=mel(**options), slots=slots)


def filters(about: Mel) -> npt.NDArray[np.float64]:
    """(fft // 2 + 1, bands)."""
    places = np.arange(about.fft // 2 + 1)[:, None]
    width = len(places) / (about.bands + 1)
    return np.clip(1 - np.abs(places / width - 1 - np.arange(about.bands)), 0, None)


def mel_bank(frontend: AudioFrontend) -> MelBank:
    assert frontend.mel is not None
    return MelBank(frontend.mel, filters(frontend.mel), np.hanning(frontend.mel.frame))
