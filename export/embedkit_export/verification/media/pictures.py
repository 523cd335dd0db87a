"""Pictures that every export of a model of pictures is judged on: drawn ones, usual and unusual, always the same."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.bundle.manifest import ImageFrontend
from embedkit.ingestion.readers.registry import PICTURES
from embedkit.records.media import Image
from embedkit_export.verification.sample import Sample

from .files import Fixed, holds, of_folder

_DRAWN = 96
_GOLDEN = 6


def fixed(frontend: ImageFrontend | None = None) -> Fixed:
    """Golden pictures, and unusual ones: tiny, long, of one colour, grey, transparent, with a palette, of 16 bits; for a frontend of
    drawn texts lines of strokes."""
    from PIL import Image as Pillow

    if frontend is not None and frontend.source == "rendered":
        lines = [Pillow.fromarray(strokes(frontend.size, seed)) for seed in range(2 * _GOLDEN)]
        files = [Image(_png(line)) for line in lines]
        return Fixed(tuple(files[:_GOLDEN]), tuple(files[_GOLDEN:]))

    plain = Pillow.fromarray(drawn(120, 90, 1))
    wide = Pillow.fromarray(drawn(90, 70, 2)[..., 0].astype(np.uint16) * 257)
    clear = plain.copy()
    clear.putalpha(Pillow.fromarray(drawn(120, 90, 3)[..., 1]))
    black, white = np.zeros((40, 40, 3), np.uint8), np.full((30, 50, 3), 255, np.uint8)
    odd = [
        drawn(1, 1, 4),
        drawn(3, 90, 5),
        drawn(300, 20, 6),
        black,
        white,
        plain.convert("L"),
        Image(_png(wide)),
        Image(_png(clear)),
        Image(_png(plain.quantize(16))),
        Image(_png(plain.convert("1"))),
    ]
    sizes = [(96, 128), (200, 150), (64, 64), (333, 250), (80, 300), (227, 225)]
    golden = tuple(Image(_png(Pillow.fromarray(drawn(h, w, 10 + i)))) for i, (h, w) in enumerate(sizes[:_GOLDEN]))
    return Fixed(golden, tuple(odd))


def sample(path: Path | None, frontend: ImageFrontend | None = None) -> Sample:
    """The pictures of a folder (and of those in it), or drawn ones. Raises `InputError` where there are fewer than two."""
    if path is None and frontend is not None and frontend.source == "rendered":
        lines = tuple(strokes(frontend.size, seed) for seed in range(100, 100 + _DRAWN))
        note = "calibrated and measured on strokes, since no sample was given: measure quality on your drawn texts (--sample FOLDER)"
        return Sample("drawn strokes", lines, notes=(note,))
    if path is None:
        made = tuple(drawn(*_size(seed), seed) for seed in range(100, 100 + _DRAWN))
        note = "calibrated and measured on drawn pictures, since no sample was given: measure quality on yours (--sample FOLDER)"
        return Sample("drawn pictures", made, notes=(note,))
    return of_folder(path, PICTURES, "picture")


def holds_pictures(path: Path) -> bool:
    """Whether a folder holds pictures."""
    return holds(path, PICTURES)


def drawn(height: int, width: int, seed: int) -> Any:
    """(height, width, 3) uint8: colours that run over, shapes with edges, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    levels = np.empty((height, width, 3))
    for c in range(3):
        a, b, phase = rng.uniform(1, 12, 3)
        levels[..., c] = 128 + 70 * np.sin(a * x + phase) * np.cos(b * y - phase) + 30 * (x * rng.uniform(-1, 1) + y)
    for _ in range(int(rng.integers(2, 8))):
        cy, cx, radius = rng.uniform(0, 1, 3)
        color = rng.uniform(0, 255, 3)
        inside = (np.abs(y - cy) + np.abs(x - cx) if rng.random() < 0.5 else np.hypot(y - cy, x - cx)) < radius / 3
        levels[inside] = color + 40 * np.sin(30 * (x + y))[inside][:, None]
    levels += rng.normal(0, rng.uniform(0, 12), levels.shape)
    return np.clip(levels, 0, 255).astype(np.uint8)


def strokes(size: Sequence[int], seed: int) -> Any:
    """(height, width, 3) uint8, at most of ``size``: black and grey strokes on white, as a line of a text is."""
    rng = np.random.default_rng(seed)
    height, width = size[0], int(rng.integers(min(size[1], size[0] // 2), size[1] + 1))
    levels = np.full((height, width), 255, dtype=np.uint8)
    for _ in range(max(2, width // 3)):
        y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
        levels[y : y + int(rng.integers(1, height // 2 + 2)), x : x + int(rng.integers(1, 4))] = rng.integers(0, 200)
    return np.repeat(levels[..., None], 3, axis=2)


def _size(seed: int) -> tuple[int, int]:
    height, width = np.random.default_rng(seed).integers(60, 400, 2).tolist()
    return height, width


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
