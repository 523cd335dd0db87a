"""One picture, from whatever it is given as to the pixels that a graph reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import ImageFrontend, Resize
from embedkit.records.media import Image
from embedkit.runtime.frontends.media import Undecodable, read_file

from . import floats
from .colors import eight_bits, three_colors
from .decoding import MAX_PICTURE_BYTES, check_pixels, picture_of, pillow, upright
from .steps import First, applied

Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""(height, width, 3) uint8, or (3, height, width) float32: `ImageFrontend.layout`."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What was prepared before, such as the golden pixels of a bundle."""

    pixels: Pixels


def prepared(frontend: ImageFrontend, item: Any, *, fast: bool = False) -> Pixels:
    """The pixels of a checked item, as the frontend says. With ``fast`` a JPEG is decoded at a part of its size, at least three
    times that of the first step, and what is much larger than a step's size is made smaller in two: other pixels, by a level
    here and there. Raises `Undecodable`."""
    if isinstance(item, Prepared):
        return item.pixels
    first = First(frontend.steps) if fast and frontend.layout != "float_nchw" else None
    picture = eight_bits(as_picture(item, first))
    if frontend.layout == "float_nchw":
        floating = next(
            number for number, step in enumerate(frontend.steps) if isinstance(step, Resize) and step.engine != "pillow"
        )
        rounded = applied(three_colors(picture, frontend.alpha), frontend.steps[:floating])
        levels = floats.applied_to_levels(np.asarray(rounded, dtype=np.float32), frontend.steps[floating:])
        _check_size(frontend, levels.shape)
        levels = levels if frontend.color == "RGB" else levels[..., ::-1]
        return np.ascontiguousarray(levels.transpose(2, 0, 1))
    if frontend.convert == "first":
        picture = applied(three_colors(picture, frontend.alpha), frontend.steps, first)
    else:
        picture = three_colors(applied(picture, frontend.steps, first), frontend.alpha)
    pixels = np.asarray(picture, dtype=np.uint8)
    _check_size(frontend, pixels.shape)
    return pixels if frontend.color == "RGB" else pixels[..., ::-1]


def _check_size(frontend: ImageFrontend, shape: tuple[int, ...]) -> None:
    if list(shape[:2]) != frontend.size:
        raise Undecodable(
            f"{shape[1]} x {shape[0]} pixels after all steps, and the model reads {frontend.size[1]} x {frontend.size[0]}; resize it first"
        )


def as_picture(item: Any, first: First | None = None) -> Any:
    """An item as an upright `PIL.Image.Image`; a JPEG's file not larger than the ``first`` of the steps needs it."""
    if isinstance(item, Path):
        return picture_of(read_file(item, MAX_PICTURE_BYTES), first.least if first else None)
    if isinstance(item, Image):
        return picture_of(item.data, first.least if first else None)
    if isinstance(item, np.ndarray):
        picture = pillow().fromarray(np.ascontiguousarray(item), "RGB") if item.size else item
        if not item.size:
            raise Undecodable(f"an array {item.shape} without a pixel; leave it out")
        check_pixels(picture)
        return picture
    check_pixels(item)
    try:
        item.load()
    except Exception as error:
        raise Undecodable(f"a picture that cannot be loaded ({error}); open it again") from error
    return upright(item)
