"""What a recipe says of a role that reads pictures: the steps to its pixels, and what the graph does to their numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from embedkit.bundle.manifest import ImageFrontend, Step
from embedkit.errors import InputError

Three: TypeAlias = Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)]
Size: TypeAlias = Annotated[list[Annotated[int, msgspec.Meta(ge=1)]], msgspec.Meta(min_length=2, max_length=2)]


class ImageInput(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Pictures that become ``size`` (height, width) by ``steps`` (see `embedkit.bundle.manifest.Resize`, `Crop`, `Pad`; their
    kind stands in ``step``), and whose levels x the graph takes as (x * scale - mean) / std."""

    size: Size
    steps: list[Step] = []
    alpha: Literal["white", "black", "drop"] = "white"
    color: Literal["RGB", "BGR"] = "RGB"
    convert: Literal["first", "last"] = "first"
    scale: float = 1 / 255
    mean: Three = msgspec.field(default_factory=lambda: [0.0, 0.0, 0.0])
    std: Three = msgspec.field(default_factory=lambda: [1.0, 1.0, 1.0])

    def __post_init__(self) -> None:
        if not all(self.std):
            raise ValueError("expected a `std` without 0")
        self.frontend()

    def frontend(self, slots: int = 256) -> ImageFrontend:
        """What the manifest says of it."""
        return ImageFrontend(
            size=self.size,
            steps=self.steps,
            alpha=self.alpha,
            color=self.color,
            convert=self.convert,
            slots=slots,
            layout="uint8_nhwc"
            if all(getattr(step, "engine", "pillow") == "pillow" for step in self.steps)
            else "float_nchw",
        )


def image_input(given: Any, where: str) -> ImageInput:
    """An `ImageInput` from a table, or itself; `InputError` that names the field."""
    if isinstance(given, ImageInput):
        return given
    try:
        return msgspec.convert(given, ImageInput)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: image: {error}; found {given!r:.120}") from None


def lines(given: ImageInput) -> list[str]:
    """Each step in words, in order."""
    numbers = f"in the graph: (level * {given.scale:.9g} - mean {_numbers(given.mean)}) / std {_numbers(given.std)}"
    return [*frontend_lines(given.frontend()), numbers]


def frontend_lines(frontend: ImageFrontend) -> list[str]:
    """The steps that are done to a picture before the graph, in words."""
    stands = {"white": "transparency on white", "black": "transparency on black", "drop": "transparency dropped"}
    color = f"to {frontend.color}, {stands[frontend.alpha]}"
    steps = [_said(step) for step in frontend.steps]
    middle = [color, *steps] if frontend.convert == "first" else [*steps, color]
    return ["upright as EXIF says, 16 bits scaled to 8", *middle]


def _said(step: Step) -> str:
    values = {name: getattr(step, name) for name in step.__struct_fields__ if name != "size"}
    size = " x ".join(map(str, step.size))
    more = ", ".join(f"{name} {_numbers(v) if isinstance(v, list) else v}" for name, v in values.items())
    return (
        f"{type(step).__name__.lower()} to {size} (height x width): {more}"
        if len(step.size) == 2
        else (f"{type(step).__name__.lower()} to {size}: {more}")
    )


def _numbers(values: list[Any]) -> str:
    return "[" + ", ".join(f"{value:.9g}" for value in values) + "]"
