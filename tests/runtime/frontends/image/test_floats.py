"""Steps on levels that are not rounded, against torch's `interpolate`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit.bundle.manifest import Crop, ImageFrontend, Pad, Resize
from embedkit.runtime.frontends.image import floats
from embedkit.runtime.frontends.image.pixels import prepared
from embedkit.runtime.frontends.image.steps import applied
from embedkit.runtime.frontends.media import Undecodable
from helpers.pictures import drawn, of_modes

torch = pytest.importorskip("torch")

SHAPES = [(60, 40), (31, 77), (200, 150), (3, 5), (1, 1), (64, 64)]


def interpolated(levels: np.ndarray, size: tuple[int, int], mode: str, **options: Any) -> np.ndarray:
    given = torch.from_numpy(levels).permute(2, 0, 1)[None]
    found = torch.nn.functional.interpolate(given, size=size, mode=mode, **options)
    return np.asarray(found[0].permute(1, 2, 0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
def test_as_torch_resizes(shape: tuple[int, int], filter_: Any) -> None:
    levels = np.asarray(drawn(*shape, 3), dtype=np.float32)
    for size in ((32, 48), (100, 70)):
        for engine, wide in (("plain", False), ("float", True)):
            step = Resize(size=list(size), filter=filter_, engine=engine)  # type: ignore[arg-type]
            expected = interpolated(levels, size, filter_, antialias=wide, align_corners=False)
            found = floats.applied_to_levels(levels, [step])
            assert found.dtype == np.float32
            assert np.abs(found - expected).max() < 0.01, "of 255 levels"
    nearest = floats.applied_to_levels(levels, [Resize(size=[17, 90], filter="nearest", engine="plain")])
    assert np.array_equal(nearest, interpolated(levels, (17, 90), "nearest"))


def test_a_wide_filter_is_another() -> None:
    levels = np.asarray(drawn(200, 150, 3), dtype=np.float32)
    plain, wide = (
        floats.applied_to_levels(levels, [Resize(size=[32, 32], filter="bilinear", engine=engine)])  # type: ignore[arg-type]
        for engine in ("plain", "float")
    )
    assert np.abs(plain - wide).mean() > 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "step",
    [Crop(size=[32, 20]), Crop(size=[33, 21], round="half_even", fill=7), Crop(size=[50, 50], pad="ceil"),
     Pad(size=[200, 200], fill=[1, 2, 3]), Pad(size=[201, 202], place="corner")],
)  # fmt: skip
def test_crops_and_pads_are_those_of_pictures(shape: tuple[int, int], step: Any) -> None:
    picture = drawn(*shape, 4)
    expected = np.asarray(applied(picture, [step]), dtype=np.float32)
    assert np.array_equal(floats.applied_to_levels(np.asarray(picture, dtype=np.float32), [step]), expected)


def test_a_picture_in_floating_point() -> None:
    shortest = Resize(size=[40], fit="shortest", filter="bilinear", engine="plain")
    frontend = ImageFrontend(
        size=[32, 32], steps=[shortest, Crop(size=[32, 32], round="half_even")], layout="float_nchw"
    )
    for name, picture in of_modes(90, 61).items():
        found = prepared(frontend, picture)
        assert (found.shape, found.dtype) == ((3, 32, 32), np.float32), name
    levels = np.asarray(drawn(90, 61), dtype=np.float32)
    whole = interpolated(levels, (40, 59), "bilinear", align_corners=False)  # torchvision: int(40 * 90 / 61)
    left = round((59 - 32) / 2)
    assert np.abs(prepared(frontend, drawn(90, 61)) - whole[4:36, left : left + 32].transpose(2, 0, 1)).max() < 0.01
    rounded = Resize(size=[90, 90])
    both = ImageFrontend(size=[32, 32], steps=[rounded, Resize(size=[32, 32], engine="float")], layout="float_nchw")
    first = np.asarray(drawn(90, 61).resize((90, 90), 3), dtype=np.float32)
    assert np.array_equal(
        prepared(both, drawn(90, 61)), floats.applied_to_levels(first, both.steps[1:]).transpose(2, 0, 1)
    )
    turned = ImageFrontend(size=[32, 32], steps=both.steps, layout="float_nchw", color="BGR")
    assert np.array_equal(prepared(turned, drawn(90, 61)), prepared(both, drawn(90, 61))[::-1])


def test_what_would_be_too_large() -> None:
    step = Resize(size=[224], fit="shortest", engine="float", filter="bilinear")
    with pytest.raises(Undecodable, match="would become"):
        floats.applied_to_levels(np.zeros((1, 3000, 3), np.float32), [step, Resize(size=[9, 9], engine="float")])


@pytest.mark.parametrize(
    "options",
    [
        {"steps": [Resize(size=[8, 8], engine="float")]},
        {"steps": [Resize(size=[8, 8])], "layout": "float_nchw"},
        {"steps": [Resize(size=[8, 8], engine="float"), Resize(size=[8, 8])], "layout": "float_nchw"},
        {"steps": [Resize(size=[8, 8], engine="float")], "layout": "float_nchw", "convert": "last"},
    ],
)
def test_steps_that_do_not_go_together(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ImageFrontend(size=[8, 8], **options)
    with pytest.raises(ValueError, match="plain"):
        Resize(size=[8, 8], engine="plain", filter="lanczos")
