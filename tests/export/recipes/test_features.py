"""What a recipe says of numbers that were made before."""

from __future__ import annotations

import pytest

from embedkit import InputError
from embedkit.bundle.manifest import FeaturesFrontend
from embedkit_export import FeaturesInput
from embedkit_export.recipes.features import features_input


def test_a_table_and_an_object_say_the_same() -> None:
    wanted = FeaturesFrontend(shape=["any", 4], max=9, boxes="image")
    assert features_input({"shape": ["any", 4], "max": 9, "boxes": "image"}, "x") == wanted
    assert features_input(FeaturesInput(shape=["any", 4], max=9, boxes="image"), "x") == wanted


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"shape": [0]}, "x: features: Expected `int` >= 1"),
        ({"shape": ["any"]}, "ends with a number"),
        ({"size": [3]}, "unknown field `size`"),
        ({"shape": [3], "dtype": "float64"}, "dtype"),
        (FeaturesInput(shape=["any"]), "ends with a number"),
        (7, "Expected `object`"),
    ],
)
def test_what_does_not_fit_is_named(given: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        features_input(given, "x")
