"""What a manifest says of a role, or a part of one, that reads numbers which were made before: token vectors, boxes, vectors."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from .base import Model, Name, Positive

Axes: TypeAlias = Annotated[list[Positive | Literal["any"]], msgspec.Meta(min_length=1, max_length=2)]
"""``[dim]``, ``[rows, dim]``, or ``["any", dim]`` where an item may have any number of rows."""


class FeaturesFrontend(Model, frozen=True, tag_field="kind", tag="features"):
    """Arrays of numbers of one ``shape``. Of ``["any", dim]`` an item has from one to ``max`` rows, and a batch is filled up with
    zeros. Rows (left, top, right, bottom) are boxes where ``boxes`` names the part that is their picture: they are given in its
    pixels, upright, and are moved with it as it is resized and cropped."""

    shape: Axes
    dtype: Literal["float32", "int32", "int64", "uint8"] = "float32"
    """What the graph is given; of floats narrower ones may be given, such as those that are stored in float16."""
    max: Positive = 1024
    boxes: Name | None = None

    def __post_init__(self) -> None:
        if self.shape[-1] == "any":
            raise ValueError("expected a `shape` that ends with a number")
        if self.boxes is not None and (len(self.shape) != 2 or self.shape[1] != 4 or self.dtype != "float32"):
            raise ValueError("expected the shape [rows, 4] of float32 beside `boxes`")

    @property
    def kind(self) -> str:
        """What it reads."""
        return "features"

    @property
    def files(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def any_rows(self) -> bool:
        """Whether items may have different numbers of rows."""
        return self.shape[0] == "any"

    @property
    def dim(self) -> int:
        """Numbers of a row."""
        return int(self.shape[-1])

    @property
    def longest(self) -> int:
        """Rows of an item that are read at most."""
        if self.any_rows:
            return self.max
        return int(self.shape[0]) if len(self.shape) == 2 else 1
