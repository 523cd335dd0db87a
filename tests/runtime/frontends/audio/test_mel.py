"""The energies of bands, by their definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import BundleError
from embedkit.bundle.frontends.audio import Mel
from embedkit.runtime.frontends.audio.mel import MelBank, shape
from helpers.audio_frontends import filters, mel, mel_bank, mel_frontend

NOISE = np.random.default_rng(0).normal(0, 0.1, 1234).astype(np.float32)


def defined(about: Mel, samples: Any) -> Any:
    """(frames, bands) float64, a frame and a frequency at a time."""
    x = np.asarray(samples, np.float64)
    if about.center:
        x = np.pad(x, about.frame // 2, mode="reflect")
    rows = []
    for start in range(0, len(x) - about.frame + 1, about.hop):
        part = x[start : start + about.frame].copy()
        if not about.dc:
            part -= part.mean()
        if about.preemphasis:
            part = np.array([part[0] * (1 - about.preemphasis), *(part[1:] - about.preemphasis * part[:-1])])
        part *= np.hanning(about.frame)
        turn = np.exp(-2j * np.pi * np.outer(np.arange(about.fft // 2 + 1), np.arange(about.frame)) / about.fft)
        rows.append(np.abs(turn @ part) ** 2 @ filters(about))
    return np.array(rows)


LOGS = {"ln": np.log, "log10": np.log10, "dB": lambda x: 10 * np.log10(x)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"log": "dB", "layout": "frames", "planes": 1},
        {"log": "ln", "center": False, "dc": False, "preemphasis": 0.97, "shift": -4.0, "divide": 9.0},
        {"range": 1.5, "frames": 8},
        {"floor": 1.0},
    ],
)
def test_a_mel_is_its_definition(options: dict[str, Any]) -> None:
    frontend = mel_frontend(**options)
    about = frontend.mel
    assert about is not None
    expected = LOGS[about.log](np.maximum(about.floor, defined(about, NOISE)))[: about.frames]
    if about.range is not None:
        expected = np.maximum(expected, expected.max() - about.range)
    expected = np.pad(expected, ((0, about.frames - len(expected)), (0, 0)))
    expected = (expected - about.shift) / about.divide
    expected = expected.T if about.layout == "bands" else expected
    found = mel_bank(frontend)(NOISE)
    assert found.shape == shape(about)
    assert found.dtype == np.float32
    assert np.abs(found.reshape(expected.shape) - expected).max() < 1e-5


def test_the_arrays_of_a_file(tmp_path: Path) -> None:
    about = mel(prefix="a.")
    np.savez(tmp_path / "f.npz", **{"a.filters": filters(about), "a.window": np.hanning(200)})
    assert MelBank.read(about, tmp_path / "f.npz")(NOISE).shape == (8, 20)
    with pytest.raises(BundleError, match=r"frontend\.npz cannot be read .*export the bundle again"):
        MelBank.read(mel(prefix="b."), tmp_path / "f.npz")
    with pytest.raises(BundleError, match=r"expected filters \(129, 9\)"):
        MelBank.read(mel(prefix="a.", bands=9), tmp_path / "f.npz")
