"""Which inputs a graph gets of the parts of its items, and which arguments of a body these are."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

from embedkit import ExportError, InputError
from embedkit_export import FeaturesInput, IdsInput, ImageInput, Recipe, Role
from embedkit_export.plan.composing.inputs import is_of_parts, parts_of
from embedkit_export.sources.source import Source
from helpers import models

IMAGE = Role(image=ImageInput(size=[8, 16]))


class Body(nn.Module):
    def forward(self, pixel_values: Tensor, text: Tensor, text_mask: Tensor, more: Tensor, expert: Tensor) -> Any: ...


def made(body: Any, recipe: Recipe | None = None, **parts: Role) -> Any:
    origin = Source("model", body, models.make_tokenizer("word"))
    return parts_of(Role(parts=parts), origin, recipe or Recipe(), "query")


def test_each_part_fills_the_arguments_that_the_body_has() -> None:
    recipe = Recipe(inputs={"expert": {"field": "expert", "values": {"a": 0}}})  # type: ignore[dict-item]
    found = made(
        Body(),
        recipe,
        picture=IMAGE,
        text=Role(max_tokens=9),
        more=Role(features=FeaturesInput(shape=["any", 5], max=7)),
    )
    assert [(one.name, one.source, one.part, one.dtype) for one in found.inputs] == [
        ("picture", "pixels", "picture", "uint8"),
        ("text", "ids", "text", "int64"),
        ("text_mask", "mask", "text", "int64"),
        ("more", "features", "more", "float32"),
    ], "the body takes no mask of `more`, and no token types"
    assert found.shapes == {
        "picture": (8, 16, 3),
        "text": ("text_tokens",),
        "text_mask": ("text_tokens",),
        "more": ("more_rows", 5),
    }
    assert found.axes == {"text_tokens": 9, "more_rows": 7}
    assert found.backbone.arguments == {
        "picture": "pixel_values",
        "text": "text",
        "text_mask": "text_mask",
        "more": "more",
        "expert": "expert",
    }
    assert set(found.backbone.examples(2)) == {"picture", "text", "text_mask", "more", "expert"}


class Numbers(nn.Module):
    def forward(self, features: Tensor, attention_mask: Tensor) -> Any: ...


def test_numbers_alone_have_no_part() -> None:
    origin = Source("model", Numbers(), None)
    role = Role(features=FeaturesInput(shape=["any", 5]))
    assert is_of_parts(role)
    assert not is_of_parts(Role(max_tokens=5))
    found = parts_of(role, origin, Recipe(), "default")
    assert [(one.name, one.source, one.part) for one in found.inputs] == [
        ("features", "features", None),
        ("attention_mask", "mask", None),
    ]
    assert found.frontend.kind == "features"


@pytest.mark.parametrize(
    ("parts", "error", "problem"),
    [
        (
            {"sound": Role(features=FeaturesInput(shape=[3]))},
            ExportError,
            "takes no argument sound for the part 'sound'",
        ),
        ({"text": Role(image=IMAGE.image, ids=IdsInput(size=5, max=3))}, InputError, "found image and ids"),
        ({"text": Role(parts={"a": IMAGE})}, InputError, "found parts"),
        ({"1st": IMAGE}, InputError, "role query"),
        (
            {"more": Role(features=FeaturesInput(shape=["any", 4], boxes="image"))},
            InputError,
            "to name a part of the kind image",
        ),
    ],
)
def test_what_does_not_fit_is_named(parts: dict[str, Role], error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        made(Body(), **parts)


def test_a_text_needs_a_tokenizer() -> None:
    with pytest.raises(ExportError, match="reads texts, and the model has no tokenizer"):
        parts_of(Role(parts={"text": Role(max_tokens=5)}), Source("model", Body(), None), Recipe(), "query")
