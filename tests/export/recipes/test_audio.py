"""What a recipe says of sounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, window_function

from embedkit import InputError
from embedkit_export.recipes.audio import AudioInput, MelInput, audio_input, lines

MEL = MelInput(frame=400, hop=160, bands=20, frames=30, high=8000.0, scale="htk", in_mel=True, periodic=False)
CONVOLUTIONS = [[10, 5], [3, 2]]


def test_the_arrays_are_those_of_transformers() -> None:
    found = MEL.arrays(16_000)
    with_htk = mel_filter_bank(201, 20, 0.0, 8000.0, 16_000, mel_scale="htk", triangularize_in_mel_space=True)
    assert np.array_equal(found["filters"], with_htk)
    assert np.array_equal(found["window"], window_function(400, "hann", periodic=False))


def test_as_the_manifest_has_it() -> None:
    about = MEL.described("a.npz")
    assert (about.file, about.fft, about.frame, about.bands, about.frames) == ("a.npz", 400, 400, 20, 30)
    frontend = AudioInput(rate=16_000, most=9_000, fill="repeat", mel=MEL).frontend(
        file="a.npz", convolutions=[], batch="fixed", slots=9
    )
    assert (frontend.batch, frontend.mel, frontend.slots, frontend.least) == ("fixed", about, 9, 400)
    wave = AudioInput(rate=16_000, wave="standardize")
    level = wave.frontend(file="", convolutions=CONVOLUTIONS, batch="longest")
    assert (level.batch, level.least) == ("longest", 20)  # one frame
    equal = wave.frontend(file="", convolutions=CONVOLUTIONS, batch="equal")
    assert (equal.batch, equal.least) == ("equal", 30)  # two: a product of one row sums in another order


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "rate"),
        ({"rate": 16_000, "fill": "loop"}, r"\$.fill"),
        ({"rate": 16_000, "mel": {"bands": 3}}, r"\$.mel"),
        (16_000, "Expected `object`"),
    ],
)
def test_tables_with_a_fault(given: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"here: audio: .*{problem}"):
        audio_input(given, "here")


def test_steps_in_words() -> None:
    table = {"rate": 16_000, "most": 48_000, "cut": "center", "int16": True, "wave": "standardize", "fill": "zeros"}
    mel = MelInput(
        frame=400, hop=160, bands=8, frames=9, high=80.0, center=False, dc=False, preemphasis=0.5, range=8.0, shift=1.0
    )
    given = audio_input({**table, "mel": "auto"}, "here")
    said = "; ".join(
        lines(
            AudioInput(**{**table, "mel": mel}).frontend(file="f", convolutions=[], batch="fixed")  # type: ignore[arg-type]
        )
    )
    assert given.mel == "auto"
    for part in (
        "resampled to 16,000",
        "the middle 48,000 samples (3 seconds)",
        "16 bits",
        "sqrt(variance",
        "filled to 48,000 samples: zeros",
        "frames of 400 every 160 samples, from the first on",
        "mean taken off, preemphasis 0.5",
        "8 bands",
        "largest less 8",
        "9 frames, (x - 1) / 1",
    ):
        assert part in said
    level = AudioInput(rate=16_000).frontend(file="", convolutions=CONVOLUTIONS, batch="equal")
    assert "beside clips of equal length alone" in lines(level)[-1]
