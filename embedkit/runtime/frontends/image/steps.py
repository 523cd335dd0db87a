"""The steps of an `ImageFrontend` on a picture: other sizes, each rounded as the manifest says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedkit.bundle.manifest import Crop, Pad, Resize, Step
from embedkit.runtime.frontends.media import Undecodable

from .decoding import pillow

MAX_RESIZED = 64_000_000
"""Pixels of a picture that was resized: a line of pixels whose shorter edge is enlarged would be a gigabyte."""


_SPARE = 3
"""How many times as large as it is to be a picture is at least, that is made so in a coarser way before: libjpeg's scales, and
Pillow's `reducing_gap`."""


class First:
    """The first of some steps, for a picture that may be decoded at a part of its size: ``size`` is what the step makes of the whole."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.step = steps[0] if steps and isinstance(steps[0], Resize) else None
        self.size: tuple[int, int] | None = None

    def least(self, height: int, width: int) -> tuple[int, int]:
        """The height and width that are needed at least of a picture that has so many, which ``size`` is kept of."""
        if self.step is None:
            return height, width
        self.size = resized_size(self.step, height, width)
        return _SPARE * self.size[0], _SPARE * self.size[1]


def applied(picture: Any, steps: Sequence[Step], first: First | None = None) -> Any:
    """The picture (`PIL.Image.Image`) after all steps; raises `Undecodable` where it would grow beyond `MAX_RESIZED`. Where
    ``first`` is given in the fast way."""
    for number, step in enumerate(steps):
        if isinstance(step, Resize):
            size = first.size if first is not None and not number else None
            picture = _resized(picture, step, size, fast=first is not None)
        elif isinstance(step, Crop):
            picture = _cropped(picture, step)
        else:
            picture = _padded(picture, step)
    return picture


def resized_size(step: Resize, height: int, width: int) -> tuple[int, int]:
    """Height and width after a step."""
    if step.fit == "squash":
        return step.size[0], step.size[1]
    if len(step.size) == 1:
        short, long = min(height, width), max(height, width)
        edge = step.size[0]
        other = int(edge * long / short)
        return (other, edge) if width <= height else (edge, other)
    ratios = [height / step.size[0], width / step.size[1]]
    ratio = min(ratios) if step.fit == "shortest" else max(ratios)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def _resized(picture: Any, step: Resize, size: tuple[int, int] | None, *, fast: bool) -> Any:
    height, width = size or resized_size(step, picture.height, picture.width)
    if height * width > MAX_RESIZED:
        raise Undecodable(
            f"{picture.width} x {picture.height} would become {width} x {height}, and at most {MAX_RESIZED:,} pixels are made; crop it, or "
            "leave it out"
        )
    gap = float(_SPARE) if fast and step.filter != "nearest" else None
    return picture.resize((width, height), getattr(pillow().Resampling, step.filter.upper()), reducing_gap=gap)


def _cropped(picture: Any, step: Crop) -> Any:
    wanted, found = step.size, (picture.height, picture.width)
    if found == (wanted[0], wanted[1]):
        return picture
    top, left = (crop_start(have, want, step) for have, want in zip(found, wanted, strict=True))
    if top >= 0 and left >= 0:
        return picture.crop((left, top, left + wanted[1], top + wanted[0]))
    inside = picture.crop(
        (max(0, left), max(0, top), min(found[1], max(0, left) + wanted[1]), min(found[0], max(0, top) + wanted[0]))
    )
    return _canvas(inside, wanted, step.fill, max(0, -top), max(0, -left))


def crop_start(have: int, want: int, step: Crop) -> int:
    """Where the crop begins in an edge; below 0 where so much is missing before the picture."""
    if have >= want:
        return (have - want) // 2 if step.round == "floor" else round((have - want) / 2)
    missing = want - have
    return -(missing // 2 if step.pad == "floor" else -(-missing // 2))


def _padded(picture: Any, step: Pad) -> Any:
    return _canvas(picture, step.size, step.fill, *pad_start(picture.height, picture.width, step))


def pad_start(have_height: int, have_width: int, step: Pad) -> tuple[int, int]:
    """Where in the padded picture the picture begins: top, left. Raises `Undecodable` where it is too large."""
    height, width = step.size
    if have_height > height or have_width > width:
        raise Undecodable(
            f"{have_width} x {have_height} after the steps before, which does not fit into {width} x {height}; export the bundle again"
        )
    middle = step.place == "center"
    return ((height - have_height) // 2, (width - have_width) // 2) if middle else (0, 0)


def _canvas(picture: Any, size: Sequence[int], fill: int | Sequence[int], top: int, left: int) -> Any:
    """A picture on a larger one of one colour."""
    if picture.mode not in ("RGB", "L"):  # a colour means something else there
        picture = picture.convert("RGB")
    levels = tuple(fill) if isinstance(fill, Sequence) else (fill,) * 3
    made = pillow().new("RGB", (size[1], size[0]), levels)
    made.paste(picture, (left, top))
    return made
