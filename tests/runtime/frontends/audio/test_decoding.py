"""From the bytes of files to samples, and what is refused before anything is decoded."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from embedkit.runtime.frontends.audio import decoding
from embedkit.runtime.frontends.audio.decoding import part_of, seconds_of, sound_of
from embedkit.runtime.frontends.media import Undecodable

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
    with pytest.raises(Undecodable, match="too early|broken or cut|no sound"):
        sound_of(whole[: int(len(whole) * part)])


def test_limits_are_checked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of("WAV")
    monkeypatch.setattr(decoding, "MAX_SOUND_BYTES", 1000)
    with pytest.raises(Undecodable, match="a file of 54,044 bytes"):
        sound_of(data)
    monkeypatch.undo()
    with pytest.raises(Undecodable, match=r"9,000 seconds .*at most 3,600 seconds"):
        sound_of(file_of("WAV", TONES, rate=1))


@pytest.mark.parametrize(
    ("kind", "subtype", "near"),
    [
        ("WAV", None, 0),
        ("FLAC", None, 0),
        ("AIFF", None, 0),
        ("OGG", "VORBIS", 1e-6),
        ("OGG", "OPUS", 0.02),
        ("MP3", None, 1e-3),
    ],
)
def test_a_part_is_the_whole_cut(kind: str, subtype: str | None, near: float, tmp_path: Path) -> None:
    path = tmp_path / "a"
    long = np.tile(TONES[:, :2], (8, 1))
    path.write_bytes(file_of(kind, long, subtype=subtype))
    whole, rate = sound_of(path.read_bytes())
    for start, end in ((0, 1), (2.5, 3.25), (4, 99)):
        found, _ = part_of(path, start, end)
        expected = whole[round(start * rate) : round(end * rate)]
        assert len(found) == len(expected)
        assert np.abs(found - expected).max() <= near
    assert seconds_of(path) == round(len(whole) / rate, 3)


def test_a_sound_of_hours_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length and its parts are asked for without limits of the whole, and little of it is held."""
    path, rate = tmp_path / "long.wav", 800
    tone = np.sin(np.arange(3 * 3600 * rate) / 7).astype(np.float32)
    soundfile.write(path, tone, rate, subtype="FLOAT")
    monkeypatch.setattr(decoding, "MAX_SOUND_BYTES", 1 << 20)
    tracemalloc.start()
    assert seconds_of(path) == 3 * 3600
    found, _ = part_of(path, 10_000, 10_010)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, tone[10_000 * rate : 10_010 * rate])
    assert held < 4 << 20 < path.stat().st_size
    monkeypatch.undo()
    with pytest.raises(Undecodable, match=r"10,800 seconds .* at most 3,600 seconds are decoded; cut it \(--chunk 10s"):
        sound_of(path.read_bytes())
    with pytest.raises(Undecodable, match="at most 3,600 seconds"):
        part_of(path, 0, 4_000)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(Undecodable, match="WAV file that ends 1,000 bytes too early"):
        seconds_of(path)
    path.write_bytes(b"")
    with pytest.raises(Undecodable, match="the file is empty"):
        seconds_of(path)


def test_a_part_of_what_is_gone(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match=r"none\.wav: cannot be read"):
        part_of(tmp_path / "none.wav", 0, 1)
    (tmp_path / "a.wav").write_text("a text")
    with pytest.raises(Undecodable, match="no sound that can be read"):
        part_of(tmp_path / "a.wav", 0, 1)
