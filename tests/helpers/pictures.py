"""Pictures of all kinds, drawn: always the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw


def drawn(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    """A picture in RGB: colours that run over, with shapes that have edges, and a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(x / (3 + seed % 5 + c) + rng.uniform(0, 6)) + np.cos(y / (4 + c) + rng.uniform(0, 6)) for c in range(3)
    ]
    pixels = np.clip(np.stack(waves, axis=-1) * 60 + 128 + rng.normal(0, 6, (height, width, 3)), 0, 255)
    made = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(made)
    for _ in range(4):
        corner = rng.integers(0, [max(1, width), max(1, height)])
        end = corner + rng.integers(0, [max(1, width // 2), max(1, height // 2)])
        draw.rectangle([*corner.tolist(), *end.tolist()], fill=tuple(rng.integers(0, 256, 3).tolist()))
    return made


def with_alpha(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    """The same with a transparency that runs from left to right."""
    made = drawn(width, height, seed)
    made.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))))
    return made


def of_modes(width: int = 60, height: int = 40, seed: int = 0) -> dict[str, Image.Image]:
    """A picture in each mode that files have, by its name."""
    plain, alpha = drawn(width, height, seed), with_alpha(width, height, seed)
    palette = plain.quantize(32)
    hidden = palette.copy()
    hidden.info["transparency"] = 3
    wide = (np.asarray(plain.convert("L")).astype(np.uint16) << 8) + 77
    return {
        "RGB": plain,
        "RGBA": alpha,
        "L": plain.convert("L"),
        "LA": alpha.convert("LA"),
        "1": plain.convert("1"),
        "P": palette,
        "P with tRNS": hidden,
        "CMYK": plain.convert("CMYK"),
        "YCbCr": plain.convert("YCbCr"),
        "I;16": Image.fromarray(wide),
    }


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture's file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def folder(where: Path, count: int = 6, *, size: tuple[int, int] = (60, 40)) -> list[Path]:
    """PNG and JPEG files of pictures, each another, in ``where``."""
    where.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = where / f"picture{number:02}.{'jpg' if number % 2 else 'png'}"
        drawn(size[0] + 7 * number, size[1] + 5 * (number % 3), number).save(path)
        paths.append(path)
    return paths
