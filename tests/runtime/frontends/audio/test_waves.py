"""From a sound to the samples of a role."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit import Audio
from embedkit.bundle.manifest import AudioFrontend
from embedkit.runtime.frontends.audio.waves import at_rate, fitted, problem_of, wave, waveform_of
from embedkit.runtime.frontends.media import Undecodable
from helpers.audio_frontends import mel

RAMP = np.arange(1, 8, dtype=np.float32) / 10


def frontend(**options: Any) -> AudioFrontend:
    return AudioFrontend(rate=16_000, mel=mel(), **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"most": 3}, [0.1, 0.2, 0.3]),
        ({"most": 3, "cut": "center"}, [0.3, 0.4, 0.5]),
        ({"most": 10}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        ({"most": 10, "fill": "zeros"}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0, 0, 0]),
        ({"most": 10, "fill": "repeat"}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.1, 0.2, 0.3]),
        ({"most": 16, "fill": "repeatpad"}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7] * 2 + [0, 0]),
    ],
)
def test_cut_and_filled(options: dict[str, Any], expected: list[float]) -> None:
    assert np.allclose(fitted(frontend(**options), RAMP), expected)


def test_standardized_before_it_is_filled() -> None:
    found = fitted(frontend(most=10, fill="zeros", wave="standardize"), RAMP)
    assert np.allclose(found[:7], (RAMP - RAMP.mean()) / np.sqrt(RAMP.var() + 1e-7), atol=1e-6)
    assert not found[7:].any()
    assert not fitted(frontend(wave="standardize"), np.zeros(9, np.float32)).any()  # silence stays silence


def test_rounded_to_16_bits() -> None:
    found = fitted(frontend(int16=True), np.array([0.5, -2, 0.00001], np.float32))
    assert np.allclose(found, [16383 / 32767, -1, 0])


def test_whole_numbers_and_channels() -> None:
    two = np.array([[16384, 0], [-32768, -32768]], np.int16)
    samples, rate = waveform_of(Audio(two, 8_000))
    assert rate == 8_000
    assert samples.tolist() == [0.25, -1.0]
    assert waveform_of(Audio(np.array([1 << 30], np.int32), 9))[0].tolist() == [0.5]


@pytest.mark.parametrize(("rate", "count"), [(8_000, 2000), (44_100, 363), (96_000, 167)])
def test_another_rate_has_as_many_samples_as_its_time(rate: int, count: int) -> None:
    assert len(at_rate(np.zeros(1000, np.float32), rate, 16_000)) == count


def test_the_same_rate_is_left_as_it_is() -> None:
    assert at_rate(RAMP, 16_000, 16_000) is RAMP


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        (np.zeros(0, np.float32), "it has no sample"),
        (np.zeros(4, np.float32), r"4 samples at 16,000 a second, and the model needs at least 5"),
        (np.array([0, 0, np.inf, 0, 0], np.float32), "sample 2 is no finite number"),
        (np.zeros(3_601 * 16, np.float32), None),
    ],
)
def test_what_has_no_vector(samples: Any, problem: str | None) -> None:
    if problem is None:
        with pytest.raises(Undecodable, match="3,601 seconds"):
            wave(frontend(least=5), Audio(samples, 16))
        return
    with pytest.raises(Undecodable, match=problem):
        wave(frontend(least=5), Audio(samples, 16_000))


def test_shapes_that_are_no_sound() -> None:
    assert problem_of(Audio(RAMP, 9), "x") == ""
    assert problem_of(Audio(data=b"x"), "x") == ""
    for samples in (np.float32(1), np.zeros((2, 2, 2)), np.zeros((2, 65)), np.zeros((2, 0)), np.array([True])):
        assert "x: expected (samples,)" in problem_of(Audio(samples, 9), "x")
