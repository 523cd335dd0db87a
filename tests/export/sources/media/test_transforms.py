"""The steps that timm's and open_clip's configurations say."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit import ExportError
from embedkit.bundle.manifest import Crop, Resize
from embedkit_export.sources.media.transforms import of_open_clip, of_timm


def test_of_timm_the_crop_is_torchvisions() -> None:
    about = {
        "input_size": [3, 224, 224],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "mean": [0.5] * 3,
        "std": [0.2] * 3,
    }
    found = of_timm({"architecture": "x", "pretrained_cfg": about}).image
    assert found.steps == [Resize(size=[248], fit="shortest"), Crop(size=[224, 224], round="half_even")]
    assert (found.mean, found.std, found.alpha) == ([0.5] * 3, [0.2] * 3, "drop")
    squash = of_timm({"pretrained_cfg": {**about, "crop_mode": "squash", "crop_pct": 1.0}}).image
    assert squash.steps[0] == Resize(size=[224, 224])
    with pytest.raises(ExportError, match="crop_mode"):
        of_timm({"pretrained_cfg": {**about, "crop_mode": "border"}})


@pytest.mark.parametrize(
    ("mode", "first"),
    [
        ("shortest", Resize(size=[256], fit="shortest", filter="bilinear")),
        ("longest", Resize(size=[256, 256], fit="longest", filter="bilinear")),
        ("squash", Resize(size=[256, 256], filter="bilinear")),
    ],
)
def test_of_open_clip(mode: str, first: Resize) -> None:
    about = {"size": 256, "interpolation": "bilinear", "resize_mode": mode, "mean": [0, 0, 0], "std": [1, 1, 1]}
    found = of_open_clip({"model_cfg": {}, "preprocess_cfg": about}).image
    assert found.steps[0] == first
    assert (found.convert, found.alpha, found.size, found.std) == ("last", "drop", [256, 256], [1.0] * 3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"input_size": None}, "input_size .*expected channels, a height and a width"),
        ({"interpolation": "sinc"}, "interpolation .*found 'sinc'"),
        ({"mean": [0.5, 0.5]}, "mean .*a number, or three"),
        ({"std": None}, "std .*found None"),
    ],
)
def test_what_timm_would_not_take_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ExportError, match=problem):
        of_timm({"pretrained_cfg": {"input_size": [3, 64, 64], **change}})
