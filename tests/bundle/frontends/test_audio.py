"""What a manifest may say of sounds."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.bundle.frontends.audio import AudioFrontend, samples_of

CONVOLUTIONS = [[10, 5], [3, 2], [2, 2]]


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_fewest_samples_of_frames(frames: int) -> None:
    frontend = AudioFrontend(rate=16_000, batch="longest", convolutions=CONVOLUTIONS)
    least = samples_of(frames, CONVOLUTIONS)
    assert frontend.frames(least) == frames
    assert frontend.frames(least - 1) == frames - 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "`mel`"),
        ({"batch": "equal"}, "`convolutions`"),
        ({"batch": "equal", "convolutions": CONVOLUTIONS, "fill": "zeros"}, "`most`"),
        ({"batch": "equal", "convolutions": CONVOLUTIONS, "most": 3, "least": 4}, "`least`"),
    ],
)
def test_what_does_not_fit_together(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        AudioFrontend(rate=16_000, **given)
