"""The way by which a model's own vectors of pictures come out."""

from __future__ import annotations

import pytest

from embedkit_export import Role, prepare
from embedkit_export.plan.detection.media.images import merged
from embedkit_export.recipes.images import ImageInput
from helpers.image_models import SINGLE, single

SAID = {
    "vit": "the model's pooler",
    "dinov2": "pooling: first",
    "swin": "pooling: mean",
    "convnext": "mean token, layernorm",
    "resnet": "pooling: mean",
    "clip": "first token, post_layernorm, projection",
    "siglip": "attention to a learned probe",
}


@pytest.mark.parametrize("kind", SINGLE)
def test_pooling(kind: str) -> None:
    found = prepare(single(kind))
    assert SAID[kind] in found.text()


def test_what_a_recipe_says_of_a_role_stands_before_what_was_found() -> None:
    image = ImageInput(size=[8, 8])
    found = {"image": Role(image=image, pooling="first"), "text": Role(pooling="last"), "query": Role(pooling="last")}
    out = merged(
        found,
        {"image": Role(image="auto", pooling="mean"), "photo": Role(image="auto"), "query": Role(template="q: {text}")},
    )
    assert (out["image"].image, out["image"].pooling) == (image, "mean")
    assert (out["photo"].image, out["photo"].pooling) == (image, "first")
    assert (out["query"].template, out["query"].pooling) == ("q: {text}", "last")
    assert out["text"] is found["text"]
