"""Boxes follow their picture through its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from embedkit import Image
from embedkit.bundle.manifest import Crop, ImageFrontend, Pad, Resize
from embedkit.runtime.frontends.image.boxes import moved_boxes, picture_size
from embedkit.runtime.frontends.image.pixels import Prepared, prepared
from embedkit.runtime.frontends.media import Undecodable
from helpers.pictures import drawn, saved

STEPS = {
    "squash": [Resize(size=[40, 60])],
    "shortest and crop": [Resize(size=[48], fit="shortest"), Crop(size=[40, 40])],
    "half even": [Resize(size=[43], fit="shortest"), Crop(size=[40, 40], round="half_even")],
    "longest and pad": [Resize(size=[40, 60], fit="longest"), Pad(size=[40, 60], place="corner")],
    "center": [Resize(size=[40, 60], fit="longest"), Pad(size=[40, 60])],
    "crop of what is smaller": [Crop(size=[300, 301], pad="ceil")],
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("size", [(120, 90), (90, 121), (64, 200)])
def test_a_box_stays_on_what_it_is_of(name: str, size: tuple[int, int]) -> None:
    """A white rectangle in a black picture is where its box is after the steps, within a pixel."""
    steps: list[Any] = STEPS[name]
    width, height = size
    left, top, right, bottom = width // 3, height // 3, 2 * width // 3, 2 * height // 3
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    frontend = ImageFrontend(size=list(steps[-1].size), steps=steps)
    seen = prepared(frontend, pixels)[..., 0] > 127
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    found = moved_boxes(frontend, pixels, np.array([[left, top, right, bottom]], np.float32))
    assert found.dtype == np.float32
    assert np.abs(found[0] - expected).max() <= 1.0


def test_what_is_beyond_the_edges_is_cut_off_and_what_is_lost_is_named() -> None:
    frontend = ImageFrontend(size=[40, 40], steps=[Resize(size=[40], fit="shortest"), Crop(size=[40, 40])])
    pixels = np.zeros((40, 120, 3), np.uint8)
    found = moved_boxes(frontend, pixels, np.array([[30, -5, 200, 90]], np.float32))
    assert found.tolist() == [[0, 0, 40, 40]]
    with pytest.raises(Undecodable, match=r"box 1 \[0.0, 0.0, 20.0, 20.0\] lies beyond what is read"):
        moved_boxes(frontend, pixels, np.array([[50, 0, 60, 20], [0, 0, 20, 20]], np.float32))


def test_boxes_of_prepared_pixels_stay() -> None:
    frontend = ImageFrontend(size=[4, 4], steps=[Resize(size=[4, 4])])
    boxes = np.array([[1, 1, 9, 9]], np.float32)
    assert moved_boxes(frontend, Prepared(np.zeros((4, 4, 3), np.uint8)), boxes) is boxes


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    picture = drawn(60, 40)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # on its side
    data = saved(picture, "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(data)
    for item in (tmp_path / "a.jpg", Image(data), Pillow.open(tmp_path / "a.jpg")):
        assert picture_size(item) == (40, 60)
    assert picture_size(np.zeros((7, 9, 3), np.uint8)) == (9, 7)
