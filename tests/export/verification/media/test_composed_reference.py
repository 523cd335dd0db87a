"""What a model is given of the parts of one item, by the plainest way."""

from __future__ import annotations

import numpy as np
import torch

from embedkit.bundle.manifest import (
    Choice,
    ComposedFrontend,
    FeaturesFrontend,
    IdsFrontend,
    ImageFrontend,
    Input,
    Resize,
)
from embedkit_export.plan.plan import RolePlan
from embedkit_export.recipes.images import ImageInput
from embedkit_export.verification.media.composed_reference import named_tensors

GIVEN = ImageInput(size=[4, 4], steps=[Resize(size=[4, 4])])


def planned(frontend: object, **more: object) -> RolePlan:
    return RolePlan(frontend, "", None, "", **more)  # type: ignore[arg-type]


def entry(name: str, source: str, part: str) -> Input:
    return Input(name=name, dtype="int64", source=source, part=part)


def test_each_part_is_alone_and_unpadded() -> None:
    image = ImageFrontend(size=[4, 4], steps=[Resize(size=[4, 4])])
    boxes = FeaturesFrontend(shape=["any", 4], boxes="image")
    left = IdsFrontend(size=9, max=3, pad="left", length=5)
    parts = {
        "image": planned(image, image=GIVEN),
        "boxes": planned(boxes),
        "ids": planned(left),
    }
    whole = planned(ComposedFrontend(parts={name: part.frontend for name, part in parts.items()}), parts=parts)
    choice = Choice(field="color", values={"red": 4})
    inputs = [
        entry("image", "pixels", "image"),
        entry("boxes", "features", "boxes"),
        entry("boxes_mask", "mask", "boxes"),
        entry("ids", "ids", "ids"),
        entry("ids_mask", "mask", "ids"),
        entry("ids_length", "length", "ids"),
        Input(name="color", dtype="int64", source="choice", choice=choice),
    ]
    pixels = np.full((8, 16, 3), 51, np.uint8)
    item = {"image": pixels, "boxes": [[0, 0, 8, 8]], "ids": [1, 2, 3, 4], "color": "red"}
    found = named_tensors(whole, inputs, item, lambda *_: ([], [], [], []))
    assert torch.allclose(found["image.values"], torch.full((1, 3, 4, 4), 0.2))
    assert found["boxes"].tolist() == [[[0, 0, 2, 4]]], "moved as the picture is"
    assert found["boxes_mask"].tolist() == [[1]]
    assert found["ids"].tolist() == [[0, 0, 2, 3, 4]]
    assert found["ids_mask"].tolist() == [[0, 0, 1, 1, 1]]
    assert (found["ids_length"].tolist(), found["color"].tolist()) == ([3], [4])
