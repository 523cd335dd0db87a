"""Each step by its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from embedkit.bundle.manifest import Crop, Pad, Resize
from embedkit.runtime.frontends.image.steps import applied, resized_size
from embedkit.runtime.frontends.media import Undecodable
from helpers.pictures import drawn


@pytest.mark.parametrize(
    ("step", "given", "wanted"),
    [
        (Resize(size=[30, 50]), (7, 9), (30, 50)),
        (Resize(size=[224], fit="shortest"), (300, 411), (224, 306)),  # 306.88 rounded down
        (Resize(size=[224], fit="shortest"), (411, 300), (306, 224)),
        (Resize(size=[224], fit="shortest"), (100, 100), (224, 224)),
        (Resize(size=[100, 200], fit="shortest"), (300, 500), (120, 200)),
        (Resize(size=[100, 200], fit="longest"), (300, 500), (100, 167)),  # 166.67
        (Resize(size=[224, 224], fit="longest"), (1, 3000), (1, 224)),
    ],
)
def test_sizes(step: Resize, given: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert resized_size(step, *given) == wanted
    if wanted[0] > 1:
        assert applied(drawn(given[1], given[0]), [step]).size == wanted[::-1]


@pytest.mark.parametrize("filter_", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_the_filter_is_pillows(filter_: str) -> None:
    picture = drawn(97, 61)
    found = applied(picture, [Resize(size=[40, 50], filter=filter_)])  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(found), np.asarray(picture.resize((50, 40), Pillow.Resampling[filter_.upper()])))


@pytest.mark.parametrize(
    ("have", "rule", "begins"), [(27, "floor", 1), (27, "half_even", 2), (25, "half_even", 0), (29, "half_even", 2)]
)
def test_where_the_middle_begins(have: int, rule: str, begins: int) -> None:
    """As torchvision (half to even) and transformers (rounded down) have it, for 3, 1 and 5 pixels that are cut off."""
    line = np.arange(have, dtype=np.uint8)
    picture = Pillow.fromarray(np.tile(line[:, None, None], (1, 24, 3)))
    found = np.asarray(applied(picture, [Crop(size=[24, 24], round=rule)]))  # type: ignore[arg-type]
    assert found[0, 0, 0] == begins


@pytest.mark.parametrize(("pad", "before"), [("floor", 1), ("ceil", 2)])
def test_a_picture_too_small_for_its_crop(pad: str, before: int) -> None:
    picture = Pillow.new("RGB", (5, 30), (9, 9, 9))
    found = np.asarray(applied(picture, [Crop(size=[8, 8], pad=pad, fill=3)]))  # type: ignore[arg-type]
    assert found.shape == (8, 8, 3)
    assert (found[:, :before] == 3).all()
    assert (found[:, before : before + 5] == 9).all()
    assert (found[:, before + 5 :] == 3).all()


def test_a_line_that_would_be_enlarged_to_a_gigabyte_is_refused() -> None:
    line = Pillow.new("RGB", (1, 3000))
    with pytest.raises(Undecodable, match="1 x 3000 would become 224 x 672000"):
        applied(line, [Resize(size=[224], fit="shortest")])


@pytest.mark.parametrize(("place", "corner"), [("center", (2, 1)), ("corner", (0, 0))])
def test_padding(place: str, corner: tuple[int, int]) -> None:
    found = np.asarray(
        applied(Pillow.new("RGB", (4, 3), (5, 5, 5)), [Pad(size=[8, 7], fill=[1, 2, 3], place=place)])  # type: ignore[arg-type]
    )
    top, left = corner
    assert (found[top : top + 3, left : left + 4] == 5).all()
    assert (found == 5).all(axis=-1).sum() == 12
    with pytest.raises(Undecodable, match="does not fit"):
        applied(drawn(9, 9), [Pad(size=[8, 8])])
