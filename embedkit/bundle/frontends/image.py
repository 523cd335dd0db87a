"""What a manifest says of a role that reads pictures: the steps from a picture to its pixels, each rounding named."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from .base import Model, Positive

Size: TypeAlias = Annotated[list[Positive], msgspec.Meta(min_length=2, max_length=2)]
"""Height and width."""
ResizeFilter: TypeAlias = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
"""Names of Pillow's filters of resizing."""
Level: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=255)]


class Resize(Model, frozen=True, tag_field="step", tag="resize"):
    """To another size with the named ``filter``: by Pillow on 8-bit pixels (``pillow``), or on floating-point numbers, which are not
    rounded: ``float`` with the filter widened where a picture gets smaller, as Pillow does too, ``plain`` with the few pixels
    around each place alone (torch's ``interpolate`` with and without ``antialias``).

    ``squash`` gives the height and width of ``size``, whatever the shape was. ``shortest`` keeps the shape: with one number in
    ``size`` the shorter edge gets that, and the other so much of it as is in proportion, rounded down. With two, the picture
    covers them (``shortest``) or fits into them (``longest``), both edges rounded to the nearest, halves to even.
    """

    size: Annotated[list[Positive], msgspec.Meta(min_length=1, max_length=2)]
    fit: Literal["squash", "shortest", "longest"] = "squash"
    filter: ResizeFilter = "bicubic"
    engine: Literal["pillow", "float", "plain"] = "pillow"

    def __post_init__(self) -> None:
        if self.engine == "plain" and self.filter not in ("nearest", "bilinear", "bicubic"):
            raise ValueError("expected nearest, bilinear or bicubic as `filter` beside the engine plain")
        if len(self.size) == 1 and self.fit != "shortest":
            raise ValueError("expected a height and a width in `size`, or the fit shortest")


class Crop(Model, frozen=True, tag_field="step", tag="crop"):
    """The middle of a picture; what it is too small for is filled with ``fill``.

    ``round`` says where the middle begins when an odd number is cut off: half of it rounded down (``floor``), or to the nearest
    even number (``half_even``). ``pad`` says how much of an odd number that is missing goes before the picture.
    """

    size: Size
    round: Literal["floor", "half_even"] = "floor"
    pad: Literal["floor", "ceil"] = "floor"
    fill: Level = 0


class Pad(Model, frozen=True, tag_field="step", tag="pad"):
    """Filled up with the colour ``fill`` to a size: in the ``center``, or behind and below the picture (``corner``)."""

    size: Size
    fill: Annotated[list[Level], msgspec.Meta(min_length=3, max_length=3)] = msgspec.field(
        default_factory=lambda: [0, 0, 0]
    )
    place: Literal["center", "corner"] = "center"


Step: TypeAlias = Resize | Crop | Pad


class ImageFrontend(Model, frozen=True, tag_field="kind", tag="image"):
    """From a picture, upright as its EXIF says, to (height, width, 3) uint8 pixels, or (3, height, width) float32 levels from 0 to
    255 where a step is not rounded to 8 bits (``float_nchw``); what is done to numbers (scale, mean) is in the graph. An image is
    worth ``slots`` token slots of a batch: a transformer's tokens."""

    size: Size
    steps: list[Step] = []
    alpha: Literal["white", "black", "drop"] = "white"
    """What a transparent picture stands on; ``drop`` shows the colour that was below."""
    color: Literal["RGB", "BGR"] = "RGB"
    convert: Literal["first", "last"] = "first"
    """Whether a picture becomes one of three colours before the steps, or after them."""
    slots: Positive = 256
    layout: Literal["uint8_nhwc", "float_nchw"] = "uint8_nhwc"

    def __post_init__(self) -> None:
        sizes = [step.size for step in self.steps if not isinstance(step, Resize) or step.fit == "squash"]
        if self.steps and (not sizes or sizes[-1] != self.size):
            raise ValueError("expected steps of which the last that gives a size gives that of `size`")
        engines = [step.engine for step in self.steps if isinstance(step, Resize)]
        floats = [number for number, engine in enumerate(engines) if engine != "pillow"]
        if bool(floats) != (self.layout == "float_nchw"):
            raise ValueError("expected the layout float_nchw beside an engine that is not pillow, and only there")
        if floats and ("pillow" in engines[floats[0] :] or self.convert == "last"):
            raise ValueError("expected no resize by pillow behind one in floating point, and three colours first")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a picture's pixels."""
        height, width = self.size
        return (height, width, 3) if self.layout == "uint8_nhwc" else (3, height, width)

    @property
    def dtype(self) -> Literal["uint8", "float32"]:
        """Of the pixels."""
        return "uint8" if self.layout == "uint8_nhwc" else "float32"

    @property
    def kind(self) -> str:
        """What it reads."""
        return "image"

    @property
    def files(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def longest(self) -> int:
        """Token slots of an image."""
        return self.slots
