"""What is a sound, what is refused, and how clips go together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from embedkit import Audio, InputError
from embedkit.bundle.manifest import AudioFrontend
from embedkit.runtime.frontends.audio.modality import AudioModality
from embedkit.runtime.frontends.base import Unencodable

CONVOLUTIONS = [[10, 5], [3, 2]]


def made(batch: Any = "longest", **options: Any) -> AudioModality:
    modality = AudioModality(
        AudioFrontend(rate=16_000, least=20, batch=batch, convolutions=CONVOLUTIONS, **options), []
    )
    modality.open(Path)
    return modality


def wav(samples: Any, rate: int = 16_000, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


NOISE = np.random.default_rng(0).normal(0, 0.1, (3000, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a.wav", r"sound 3: a string is a text, .*pathlib\.Path"),
        (b"RIFF", r"sound 3: found bytes; give embedkit\.Audio\(data="),
        (NOISE, "sound 3: found an array, whose rate nothing says"),
        (Audio(NOISE.T, 16_000), r"sound 3: expected \(samples,\) or \(samples, channels\)"),
        (Audio(np.array(["a"]), 16_000), "sound 3: expected .* floats, int16 or int32"),
        (7, "sound 3: expected a sound .*found int 7"),
    ],
)
def test_what_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        made().check(value, "sound 3")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the file is empty"),
        (b"a text that is called a sound", "no sound that can be read"),
        (wav(NOISE)[:5000], "ends .* bytes too early"),
        (wav(NOISE[:0]), "it has no sample"),
        (wav(NOISE[:19]), "19 samples .* needs at least 20"),
    ],
)
def test_files_that_are_no_sounds(data: bytes, problem: str) -> None:
    modality = made()
    with pytest.raises(Unencodable, match=problem) as caught:
        modality.open(Path).batches([Audio(NOISE, 16_000), Audio(data=data)], 100, None)
    assert caught.value.number == 1


def test_numbers_that_are_none() -> None:
    bad = NOISE[:, 0].copy()
    bad[7] = np.nan
    with pytest.raises(Unencodable, match="sample 7 is no finite number"):
        made().prepared([Audio(bad, 16_000)])
    with pytest.raises(Unencodable, match="too large"):
        made(wave="standardize").prepared([Audio(NOISE[:, 0] * np.float32(1e30), 16_000)])


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_other_rates_and_channels(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(wav(NOISE, rate, "FLAC"))
    read, _ = soundfile.read(path, dtype="float32")
    expected = soxr.resample(read.T.mean(axis=0), rate, 16_000, quality="soxr_hq")
    count = -(-3000 * 16_000 // rate)
    found = made().prepared([path])["samples"][0]
    assert len(found) == count
    assert np.array_equal(found[: len(expected)], expected[:count])


def test_clips_of_one_length_together() -> None:
    items = [Audio(NOISE[:n, 0], 16_000) for n in (300, 400, 300, 300)]
    batches = made("equal").open(Path).batches(items, 1 << 14, None)
    assert sorted(sorted(batch.rows.tolist()) for batch in batches) == [[0, 2, 3], [1]]
    (level,) = made().open(Path).batches(items, 1 << 14, None)
    tensors = level.tensors(5)
    lengths = dict(zip(level.rows.tolist(), tensors["length"].tolist(), strict=False))
    assert lengths == {0: 29, 1: 39, 2: 29, 3: 29}
    assert tensors["samples"].shape == (5, 400)
    assert tensors["mask"].sum(axis=1).tolist() == tensors["length"].tolist()


def test_prepared_items_come_back() -> None:
    modality = made()
    items = [Audio(NOISE[:n, 0], 16_000) for n in (300, 400)]
    arrays = modality.prepared(items)
    again = modality.prepared(modality.restored(arrays))
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    assert modality.key(items[0]) == modality.key(Audio(NOISE[:300, 0].copy(), 16_000)) != modality.key(items[1])
