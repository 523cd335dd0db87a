"""From the bytes of files to samples, and what is refused before anything is decoded."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from embedkit.runtime.frontends.audio import decoding
from embedkit.runtime.frontends.audio.decoding import Undecodable, sound_of

TONES = np.sin(np.arange(9000)[:, None] * [0.05, 0.11, 0.02]).astype(np.float32) * 0.4


def file_of(kind: str, samples: np.ndarray = TONES, rate: int = 16_000, subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "FLAC", "AIFF", "AU", "CAF", "RF64", "W64"])
def test_channels_are_averaged(kind: str) -> None:
    found, rate = sound_of(file_of(kind))
    assert rate == 16_000
    assert np.abs(found - TONES.mean(axis=1)).max() < 1e-4


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_packed_sounds(kind: str, subtype: str | None) -> None:
    found, rate = sound_of(file_of(kind, TONES[:, 0], subtype=subtype))
    assert rate == 16_000
    middle = slice(1000, 8000)
    shift = int(np.argmax(np.correlate(found[:9000], TONES[middle, 0]))) - 1000  # codecs add a few samples before
    assert np.corrcoef(found[1000 + shift : 8000 + shift], TONES[middle, 0])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the file is empty"),
        (b"RIFF", "no sound that can be read"),
        ("naïve words".encode(), "no sound that can be read: expected WAV, .* or CAF, found bytes that begin with"),
        (file_of("FLAC")[:6000], "a broken or cut FLAC file"),
        (file_of("WAV")[:-1000], "ends 1,000 bytes too early"),
        (file_of("WAV", TONES[:0]), "it has no sample"),
        (b"\xff\xd8\xff\xe0" + bytes(400), "no sound that can be read"),
    ],
)
def test_what_is_no_sound(data: bytes, problem: str) -> None:
    with pytest.raises(Undecodable, match=problem):
        sound_of(data)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF", "OGG", "MP3"])
def test_a_cut_file_is_no_shorter_sound_in_silence(kind: str, part: float) -> None:
    whole = file_of(kind, TONES[:, 0])
    with pytest.raises(Undecodable, match="too early|broken or cut|ends after|no sound"):
        sound_of(whole[: int(len(whole) * part)])


def test_limits_are_checked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of("WAV")
    monkeypatch.setattr(decoding, "MAX_SOUND_BYTES", 1000)
    with pytest.raises(Undecodable, match="a file of 54,044 bytes"):
        sound_of(data)
    monkeypatch.undo()
    with pytest.raises(Undecodable, match=r"9,000 seconds .*at most 3,600 seconds"):
        sound_of(file_of("WAV", TONES, rate=1))
