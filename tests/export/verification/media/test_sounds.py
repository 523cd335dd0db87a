"""Clips that are always the same, and those of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import InputError
from embedkit.bundle.manifest import AudioFrontend
from embedkit.runtime.frontends.audio.modality import AudioModality
from embedkit_export.verification.media import sounds
from embedkit_export.verification.media.files import golden_arrays

FRONTEND = AudioFrontend(rate=16_000, least=20, batch="longest", convolutions=[[10, 5], [3, 2]])


def modality() -> AudioModality:
    made = AudioModality(FRONTEND, [])
    made.open(Path)
    return made


def test_always_the_same() -> None:
    one, two = sounds.fixed(FRONTEND), sounds.fixed(FRONTEND)
    assert [item.data for item in one.golden] == [item.data for item in two.golden]
    assert len({item.data for item in one.golden}) == 4
    made = modality().prepared(list(one.hostile))
    assert len(made["size"]) == len(one.hostile)
    assert made["size"].min() == FRONTEND.least


def test_golden_files_are_prepared_to_the_golden_samples() -> None:
    golden = sounds.fixed(FRONTEND).golden
    arrays = golden_arrays("audio", modality(), golden)
    for i in range(2):
        found = arrays[f"file.{i}.samples.audio"]
        assert np.array_equal(found, arrays["input.samples.audio"][i, : len(found)])
        assert arrays[f"file.{i}.audio"].tobytes() == golden[i].data


def test_a_folder_and_those_in_it(tmp_path: Path) -> None:
    paths = {tmp_path / "a" / "x.wav", tmp_path / "a" / "b" / "Y.WAV"}
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sounds.wav(sounds.drawn(0.1, 16_000, 1), 16_000))
    (tmp_path / "a" / "notes.txt").write_text("x")
    found = sounds.sample(tmp_path / "a", 16_000)
    assert (set(found.texts), found.name) == (paths, "a")
    assert sounds.holds_sounds(tmp_path)
    assert not sounds.holds_sounds(tmp_path / "a" / "notes.txt")
    with pytest.raises(InputError, match="at least two sounds, found 0"):
        sounds.sample(tmp_path / "none", 16_000)


def test_without_a_folder_they_are_drawn_and_that_is_said() -> None:
    found = sounds.sample(None, 16_000)
    assert len(found.texts) == 40
    assert "drawn" in found.notes[0]
    assert len(found.calibration()) + len(found.judged()) == 40
