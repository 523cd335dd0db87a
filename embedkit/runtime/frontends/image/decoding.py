"""From a file's bytes to a picture in memory, upright, within limits that are checked before anything is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from embedkit.runtime.frontends.media import Undecodable, check_data, said_by
from embedkit.system.extras import needed

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_PICTURE_BYTES = 64 << 20
"""Of a file."""
MAX_PIXELS = 89_478_485
"""Of a picture: a quarter of a gigabyte in three colours, as Pillow has it."""


_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
"""EXIF's tag, and the values that turn a picture by a quarter."""
_NAMED = f"{', '.join(PICTURE_FORMATS[:-1])} or {PICTURE_FORMATS[-1]}"


@cache
def pillow() -> Any:
    """`PIL.Image`, with all formats known; `MissingExtraError` where it is not installed."""
    module = needed("PIL.Image", "reading pictures", extra="image")
    module.init()
    return module


def picture_of(data: bytes, least: Callable[[int, int], tuple[int, int]] | None = None) -> Any:
    """The first picture of a file's bytes, decoded (`PIL.Image.Image`), turned upright as its EXIF says. Of a JPEG, where ``least``
    gives of its height and width, upright, those that are needed at least, it may be one of half the size, a quarter or an eighth.
    Raises `Undecodable`."""
    with _opened(data) as picture:
        try:
            if least is not None and hasattr(picture, "draft") and picture.format in ("JPEG", "MPO"):
                _draft(picture, least)
            picture.load()
        except Exception as error:
            raise Undecodable(
                f"a broken or truncated {picture.format} ({said_by(error)}); copy it again, or leave it out"
            ) from error
        return upright(picture)


def size_of(data: bytes) -> tuple[int, int]:
    """The width and height of a file's first picture, upright, of which the head alone is read. Raises `Undecodable`."""
    with _opened(data) as picture:
        width, height = picture.size
        return (height, width) if _on_its_side(picture) else (width, height)


def _on_its_side(picture: Any) -> bool:
    with suppress(Exception):
        return picture.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
    return False


def _draft(picture: Any, least: Callable[[int, int], tuple[int, int]]) -> None:
    width, height = picture.size
    if _on_its_side(picture):
        wide, high = least(width, height)
    else:
        high, wide = least(height, width)
    picture.draft(picture.mode, (wide, high))


def _opened(data: bytes) -> Any:
    check_data(data, MAX_PICTURE_BYTES)
    module = pillow()
    try:
        picture = module.open(io.BytesIO(data), formats=PICTURE_FORMATS)
    except module.DecompressionBombError as error:
        raise Undecodable(f"too many pixels ({error}); make it smaller, or leave it out") from error
    except module.UnidentifiedImageError as error:
        raise Undecodable(
            f"no picture: expected {_NAMED}, found bytes that begin with {data[:8]!r}; convert it, or leave it out"
        ) from error
    except Exception as error:  # Pillow's plugins raise whatever they meet in a broken head
        raise Undecodable(f"a broken picture ({said_by(error)}); copy it again, or leave it out") from error
    check_pixels(picture)
    return picture


def check_pixels(picture: Any) -> None:
    """Raise `Undecodable` where a picture has too many pixels, or none."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise Undecodable(
            f"{width} x {height} = {width * height:,} pixels, and at most {MAX_PIXELS:,} are decoded; make it smaller, or leave it out"
        )
    if not width * height:
        raise Undecodable(f"it has no pixel ({width} x {height}); leave it out")


def upright(picture: Any) -> Any:
    """A picture turned and mirrored as its EXIF says; one whose EXIF cannot be read stays as it is."""
    turn = needed("PIL.ImageOps", "reading pictures", extra="image").exif_transpose
    with suppress(Exception):
        return turn(picture)
    return picture
