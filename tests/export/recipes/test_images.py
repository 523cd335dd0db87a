"""What a recipe says of pictures."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit import InputError
from embedkit_export.recipes.images import ImageInput, image_input, lines

GIVEN: dict[str, Any] = {
    "size": [24, 24],
    "steps": [{"step": "resize", "size": [30], "fit": "shortest"}, {"step": "crop", "size": [24, 24]}],
    "mean": [0.5, 0.5, 0.5],
}


def test_a_table_becomes_a_frontend_and_words() -> None:
    made = image_input(GIVEN, "recipe")
    assert image_input(made, "recipe") is made
    assert (made.frontend(slots=9).slots, made.frontend().size) == (9, [24, 24])
    assert lines(made) == [
        "upright as EXIF says, 16 bits scaled to 8",
        "to RGB, transparency on white",
        "resize to 30: fit shortest, filter bicubic, engine pillow",
        "crop to 24 x 24 (height x width): round floor, pad floor, fill 0",
        "in the graph: (level * 0.00392156863 - mean [0.5, 0.5, 0.5]) / std [1, 1, 1]",
    ]
    last = lines(ImageInput(size=[24, 24], convert="last", alpha="drop"))
    assert last[1] == "to RGB, transparency dropped"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"size": [24]}, "image: .*length"),
        ({"std": [1.0, 0.0, 1.0]}, "without 0"),
        ({"steps": [{"step": "resize", "size": [3, 3]}]}, "that of `size`"),
        ({"gamma": 1}, "unknown field"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=f"role x: image: .*{problem.removeprefix('image: ')}"):
        image_input({**GIVEN, **wrong}, "role x")
