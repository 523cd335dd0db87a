"""The energies of a clip's bands over time, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import Mel
from embedkit.errors import BundleError

from .decoding import Waveform

Energies = npt.NDArray[np.float64]
_FRAMES = 1 << 10
"""Frames that are transformed at a time."""


class MelBank:
    """A `Mel` with its arrays; several threads may share it."""

    def __init__(self, about: Mel, filters: Energies, window: Energies) -> None:
        wanted = (about.fft // 2 + 1, about.bands)
        if filters.shape != wanted or window.shape != (about.frame,):
            raise BundleError(
                f"mel: expected filters {wanted} and a window {(about.frame,)} in {about.file}, found {filters.shape} and {window.shape}; "
                "export the bundle again"
            )
        self.about = about
        self.filters, self.window = filters.astype(np.float64), window.astype(np.float64)

    @classmethod
    def read(cls, about: Mel, path: Path) -> MelBank:
        """With the arrays of a file; raises `BundleError`."""
        try:
            with np.load(path, allow_pickle=False) as data:
                filters, window = data[f"{about.prefix}filters"], data[f"{about.prefix}window"]
        except Exception as error:  # numpy, zipfile and zlib each raise their own
            raise BundleError(f"mel: {about.file} cannot be read ({error}); export the bundle again") from error
        return cls(about, filters, window)

    def __call__(self, samples: Waveform) -> npt.NDArray[np.float32]:
        """What a graph takes of a clip: float32 of `shape`."""
        about = self.about
        energies = np.maximum(about.floor, self._energies(samples.astype(np.float64)))
        logs = np.log(energies) if about.log == "ln" else np.log10(energies)
        if about.log == "dB":
            logs *= 10.0
        logs = logs[: about.frames].astype(np.float32)
        if about.range is not None:
            logs = np.maximum(logs, logs.max() - np.float32(about.range))
        if len(logs) < about.frames:
            logs = np.pad(logs, ((0, about.frames - len(logs)), (0, 0)))
        logs = (logs - np.float32(about.shift)) / np.float32(about.divide)
        made = logs.T if about.layout == "bands" else logs
        if about.planes:
            made = np.repeat(made[None], about.planes, axis=0)
        return np.ascontiguousarray(made)

    def _energies(self, samples: Energies) -> Energies:
        """(frames, bands)."""
        about = self.about
        if about.center:
            samples = np.pad(samples, about.frame // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(samples, about.frame)[:: about.hop]
        found = np.empty((len(frames), about.bands))
        for start in range(0, len(frames), _FRAMES):
            part = frames[start : start + _FRAMES]
            if not about.dc:
                part = part - part.mean(axis=1, keepdims=True)
            if about.preemphasis:
                first = part[:, :1] * (1 - about.preemphasis)
                part = np.concatenate([first, part[:, 1:] - about.preemphasis * part[:, :-1]], axis=1)
            spectrum = np.fft.rfft(part * self.window, n=about.fft)
            found[start : start + _FRAMES] = (spectrum.real**2 + spectrum.imag**2) @ self.filters
        return found


def shape(about: Mel) -> tuple[int, ...]:
    """The shape of what a graph takes of a clip."""
    sides = (about.bands, about.frames) if about.layout == "bands" else (about.frames, about.bands)
    return (about.planes, *sides) if about.planes else sides
