"""Modes and transparency."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.runtime.frontends.image.colors import eight_bits, is_transparent, three_colors
from helpers.pictures import of_modes


@pytest.mark.parametrize(("alpha", "level"), [("white", 255.0), ("black", 0.0)])
def test_a_transparent_picture_stands_on_a_colour(alpha: str, level: float) -> None:
    picture = of_modes()["RGBA"]
    whole = np.asarray(picture).astype(float)
    share = whole[..., 3:] / 255
    expected = whole[..., :3] * share + level * (1 - share)
    assert np.abs(np.asarray(three_colors(picture, alpha)) - expected).max() <= 1.0


def test_drop_shows_what_was_below() -> None:
    picture = of_modes()["RGBA"]
    assert np.array_equal(np.asarray(three_colors(picture, "drop")), np.asarray(picture)[..., :3])


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr"])
def test_what_is_not_transparent_is_the_same_on_all(mode: str) -> None:
    picture = of_modes()[mode]
    assert not is_transparent(picture)
    found = [np.asarray(three_colors(picture, alpha)) for alpha in ("white", "black", "drop")]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert found[0].shape == (40, 60, 3)


def test_a_colour_of_a_palette_that_is_none() -> None:
    picture = of_modes()["P with tRNS"]
    assert is_transparent(picture)
    hidden = np.asarray(picture) == 3
    assert hidden.any()
    white = np.asarray(three_colors(picture, "white"))
    assert (white[hidden] == 255).all()
    assert np.array_equal(white[~hidden], np.asarray(picture.convert("RGB"))[~hidden])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_eight_bits_stay(mode: str) -> None:
    picture = of_modes()[mode]
    assert eight_bits(picture) is picture


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_sixteen_bits(kind: str) -> None:
    from PIL import Image

    numbers = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=kind)
    picture = Image.frombytes("I;16" if kind == "<u2" else "I;16B", (3, 2), numbers.tobytes())
    assert np.asarray(eight_bits(picture)).tolist() == [[0, 0, 1], [128, 254, 255]]
