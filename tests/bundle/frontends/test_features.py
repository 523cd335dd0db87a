"""What a manifest says of arrays of numbers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from embedkit.bundle.frontends.base import Frontend
from embedkit.bundle.frontends.features import FeaturesFrontend


@pytest.mark.parametrize(
    ("shape", "longest", "any_rows"), [([8], 1, False), ([5, 8], 5, False), (["any", 8], 1024, True)]
)
def test_its_sizes(shape: list[Any], longest: int, any_rows: bool) -> None:
    found = FeaturesFrontend(shape=shape)
    assert isinstance(found, Frontend)
    assert (found.kind, found.files, found.longest, found.any_rows, found.dim) == ("features", (), longest, any_rows, 8)
    assert msgspec.convert(msgspec.to_builtins(found), FeaturesFrontend) == found


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"shape": ["any"]}, "ends with a number"),
        ({"shape": [3, "any"]}, "ends with a number"),
        ({"shape": []}, "length >= 1"),
        ({"shape": [1, 2, 3]}, "length <= 2"),
        ({"shape": ["some", 4]}, "Invalid enum value"),
        ({"shape": [0, 4]}, ">= 1"),
        ({"shape": ["any", 4], "dtype": "float64"}, "Invalid enum value"),
        ({"shape": ["any", 5], "boxes": "image"}, r"\[rows, 4\] of float32"),
        ({"shape": [4], "boxes": "image"}, r"\[rows, 4\] of float32"),
        ({"shape": ["any", 4], "dtype": "int64", "boxes": "image"}, r"\[rows, 4\] of float32"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, FeaturesFrontend)
