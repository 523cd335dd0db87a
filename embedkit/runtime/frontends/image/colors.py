"""From pictures of any mode to three colours of 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedkit.runtime.frontends.media import Undecodable

from .decoding import pillow

_WIDE = ("I;16", "I;16L", "I;16B", "I;16N")


def eight_bits(picture: Any) -> Any:
    """A picture of 8 bits a number: 16-bit grey is scaled (Pillow would make it white), and numbers whose range no file states
    are refused by `Undecodable`."""
    if picture.mode in _WIDE:
        return _scaled(np.asarray(picture).astype(np.int64))
    if picture.mode == "I":
        numbers = np.asarray(picture)
        if numbers.min() < 0 or numbers.max() > 0xFFFF:
            raise Undecodable(
                f"32-bit grey from {numbers.min()} to {numbers.max()}, whose range nothing states; save it with 8 or 16 bits"
            )
        return _scaled(numbers)
    if picture.mode == "F":
        raise Undecodable("grey in floating-point numbers, whose range nothing states; save it with 8 or 16 bits")
    return picture


def _scaled(numbers: Any) -> Any:
    return pillow().fromarray((numbers >> 8).astype(np.uint8))


def three_colors(picture: Any, alpha: str) -> Any:
    """A picture in the mode RGB. Where it is transparent it stands on ``alpha`` (``white`` or ``black``), or shows the colour
    that was below (``drop``)."""
    if alpha == "drop":
        return picture if picture.mode == "RGB" else _converted(picture, "RGB")
    if not is_transparent(picture):
        return _converted(picture, "RGB")
    above = _converted(picture, "RGBA")
    level = 255 if alpha == "white" else 0
    below = pillow().new("RGBA", above.size, (level, level, level, 255))
    return pillow().alpha_composite(below, above).convert("RGB")


def is_transparent(picture: Any) -> bool:
    """Whether a picture has an alpha band, or names a colour that is none."""
    bands = picture.getbands()
    return "A" in bands or "a" in bands or picture.info.get("transparency") is not None


def _converted(picture: Any, mode: str) -> Any:
    try:
        return picture.convert(mode)
    except ValueError as error:
        raise Undecodable(
            f"a picture of the mode {picture.mode}, which has no way to {mode} ({error}); save it as PNG"
        ) from error
