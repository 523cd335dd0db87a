"""What files say of their own length."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from embedkit.runtime.frontends.audio.wholeness import lacking, sound_format

TONE = np.sin(np.arange(9001) * 0.05).astype(np.float32)


def file_of(kind: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, TONE, 16_000, format=kind)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "name"), [(k, k) for k in ("WAV", "RF64", "W64", "AIFF", "AU", "CAF")] + [("OGG", "Ogg")]
)
def test_how_many_bytes_are_lacking(kind: str, name: str) -> None:
    whole = file_of(kind)
    assert lacking(whole) == 0
    assert sound_format(whole) == name
    assert sound_format(file_of("MP3")) == "MP3"
    assert lacking(whole + b"more") == 0
    assert 300 <= lacking(whole[:-300]) <= 308  # some pad their end


def test_a_stream_that_did_not_know_its_length_says_nothing() -> None:
    whole = file_of("WAV")
    place = whole.index(b"data") + 4
    for size in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF024):
        assert lacking(whole[:place] + size.to_bytes(4, "little") + whole[place + 4 : -300]) == 0


@pytest.mark.parametrize("data", [b"", b"RIFF", b"OggS", b"caff\0\1", b".snd", b"riff", b"\xff\xfea"])
def test_too_little_to_tell(data: bytes) -> None:
    assert lacking(data) >= 0
    assert sound_format(data) != "MP3"
    assert lacking(b"a text that is long enough for all of it") == 0
