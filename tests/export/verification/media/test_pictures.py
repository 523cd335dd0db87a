"""Pictures that are always the same, and those of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import InputError
from embedkit.bundle.manifest import ImageFrontend, Resize
from embedkit.runtime.frontends.image.modality import ImageModality
from embedkit_export.verification.media import pictures
from embedkit_export.verification.media.files import golden_arrays
from helpers.pictures import folder

FRONTEND = ImageFrontend(size=[16, 16], steps=[Resize(size=[16, 16])])


def test_always_the_same() -> None:
    one, two = pictures.fixed(), pictures.fixed()
    assert [item.data for item in one.golden] == [item.data for item in two.golden]
    assert len({item.data for item in one.golden}) == 6
    made = ImageModality(FRONTEND, []).prepared(list(one.hostile))["pixels"]
    assert made.shape == (len(one.hostile), 16, 16, 3)


def test_golden_files_are_prepared_to_the_golden_pixels() -> None:
    golden = pictures.fixed().golden
    arrays = golden_arrays("image", ImageModality(FRONTEND, []), golden)
    assert arrays["input.pixels.image"].shape == (6, 16, 16, 3)
    for i in range(3):
        assert np.array_equal(arrays[f"file.{i}.pixels.image"], arrays["input.pixels.image"][i])
        assert arrays[f"file.{i}.image"].tobytes() == golden[i].data


def test_a_folder_and_those_in_it(tmp_path: Path) -> None:
    paths = {*folder(tmp_path / "a", 3), *folder(tmp_path / "a" / "b", 2)}
    (tmp_path / "a" / "notes.txt").write_text("x")
    found = pictures.sample(tmp_path / "a")
    assert (set(found.texts), found.name) == (paths, "a")
    assert pictures.holds_pictures(tmp_path)
    assert not pictures.holds_pictures(tmp_path / "a" / "notes.txt")
    with pytest.raises(InputError, match="at least two pictures, found 0"):
        pictures.sample(Path(tmp_path / "none"))


def test_without_a_folder_they_are_drawn_and_that_is_said() -> None:
    found = pictures.sample(None)
    assert len(found.texts) == 96
    assert "drawn" in found.notes[0]
    assert len(found.calibration()) + len(found.judged()) == 96
