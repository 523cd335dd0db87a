"""What a manifest says of items with several parts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from embedkit.bundle.frontends.base import Frontend
from embedkit.bundle.frontends.composed import ComposedFrontend
from embedkit.bundle.frontends.features import FeaturesFrontend
from embedkit.bundle.frontends.ids import IdsFrontend
from embedkit.bundle.frontends.image import ImageFrontend
from embedkit.bundle.frontends.text import Part, TextFrontend, Truncate


def text(tokenizer: str = "tokenizer.json") -> TextFrontend:
    return TextFrontend(tokenizer=tokenizer, template=[Part(field="text")], truncate=Truncate(max=12))


IMAGE = ImageFrontend(size=[32, 32], slots=17)


def test_its_sizes_and_files() -> None:
    made = ComposedFrontend(parts={"image": IMAGE, "one": text(), "other": text(), "more": text("second.json")})
    assert isinstance(made, Frontend)
    assert (made.kind, made.longest, made.files) == ("composed", 17 + 3 * 12, ("tokenizer.json", "second.json"))


def test_boxes_name_their_picture() -> None:
    boxes = FeaturesFrontend(shape=["any", 4], boxes="image")
    assert ComposedFrontend(parts={"image": IMAGE, "boxes": boxes}).longest == 17 + 1024
    for other in ({}, {"image": IdsFrontend(size=5, max=3)}, {"picture": IMAGE}):
        with pytest.raises(ValueError, match="to name a part of the kind image"):
            ComposedFrontend(parts={"boxes": boxes, **other})


def test_a_part_is_not_composed_itself() -> None:
    inner = ComposedFrontend(parts={"image": IMAGE})
    with pytest.raises(ValueError, match="not composed themselves"):
        ComposedFrontend(parts={"both": inner})


@pytest.mark.parametrize("parts", [{}, {"1st": IMAGE}, {"an image": IMAGE}, {"a-b": IMAGE}])
def test_names_are_those_of_arguments(parts: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"parts": parts}, ComposedFrontend)
