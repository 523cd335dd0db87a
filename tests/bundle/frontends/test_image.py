"""What a manifest may say of pictures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from embedkit.bundle.frontends.image import Crop, ImageFrontend, Pad, Resize


def test_it_is_read_as_it_was_written() -> None:
    made = ImageFrontend(
        size=[24, 32],
        steps=[
            Resize(size=[40], fit="shortest", filter="bilinear"),
            Crop(size=[24, 24], round="half_even", pad="ceil", fill=7),
            Pad(size=[24, 32], fill=[1, 2, 3], place="corner"),
        ],
        alpha="drop",
        color="BGR",
        convert="last",
        slots=50,
    )
    raw = msgspec.json.encode(made)
    assert msgspec.json.decode(raw, type=ImageFrontend) == made
    assert b'"kind":"image"' in raw
    assert (made.kind, made.files, made.longest) == ("image", (), 50)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [24]},
        {"size": [24, 0]},
        {"size": [24, 24], "steps": [{"step": "resize", "size": [24]}]},
        {"size": [24, 24], "steps": [{"step": "resize", "size": [24, 25]}]},
        {"size": [24, 24], "steps": [{"step": "resize", "size": [24], "fit": "shortest"}]},
        {"size": [24, 24], "steps": [{"step": "resize", "size": [24, 24], "filter": "cubic"}]},
        {"size": [24, 24], "steps": [{"step": "crop", "size": [24, 24], "fill": 256}]},
        {"size": [24, 24], "steps": [{"step": "turn"}]},
        {"size": [24, 24], "alpha": "grey"},
        {"size": [24, 24], "orient": False},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "image", **wrong}, ImageFrontend)
