"""Readings that files of pictures' preparations share."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image
from transformers.image_utils import SizeDict

from embedkit import ExportError
from embedkit_export.sources.media.preparing import FILTERS, filter_of, number_of, numbers_of, sizes


def test_sizes() -> None:
    assert sizes(None) == {}
    assert sizes(24) == {"height": 24, "width": 24}
    assert sizes({"shortest_edge": 24, "longest_edge": None}) == {"shortest_edge": 24}
    assert sizes(SizeDict(height=20, width=30)) == {"height": 20, "width": 30}


def test_filters_are_pillows() -> None:
    assert {number: Image.Resampling(number).name.lower() for number in FILTERS} == FILTERS
    assert (filter_of(3, "resample"), filter_of("bicubic", "interpolation")) == ("bicubic", "bicubic")
    for given in (None, 6, "sinc"):
        with pytest.raises(ExportError, match=f"image: resample: expected one of bicubic, .*found {given!r}"):
            filter_of(given, "resample")


def test_numbers() -> None:
    assert numbers_of(0.5, "mean") == [0.5, 0.5, 0.5]
    assert numbers_of([1, 2, 3], "mean") == [1.0, 2.0, 3.0]
    assert number_of(1, "scale") == 1.0
    wrong: list[Any] = [None, [1, 2], "a", [1, 2, None], True]
    for given in wrong:
        with pytest.raises(ExportError, match="image: mean: expected a number"):
            numbers_of(given, "mean")
