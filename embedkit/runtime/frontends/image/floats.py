"""The steps of an `ImageFrontend` on levels that are not rounded: (height, width, 3) float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Crop, Resize, Step
from embedkit.runtime.frontends.media import Undecodable

from .decoding import pillow
from .steps import MAX_RESIZED, crop_start, pad_start, resized_size

Levels: TypeAlias = npt.NDArray[np.float32]
"""(height, width, 3), from 0 to 255."""
_A = -0.75
"""The slope of torch's cubic filter at 1."""


def applied_to_levels(levels: Levels, steps: Sequence[Step]) -> Levels:
    """The levels after all steps; raises `Undecodable` where there would be more than `MAX_RESIZED` pixels."""
    for step in steps:
        if isinstance(step, Resize):
            levels = _resized(levels, step)
        elif isinstance(step, Crop):
            start = [crop_start(have, want, step) for have, want in zip(levels.shape, step.size, strict=False)]
            levels = _placed(levels, step.size, start, [step.fill] * 3)
        else:
            start = [-offset for offset in pad_start(levels.shape[0], levels.shape[1], step)]
            levels = _placed(levels, step.size, start, step.fill)
    return levels


def _resized(levels: Levels, step: Resize) -> Levels:
    height, width = resized_size(step, levels.shape[0], levels.shape[1])
    if height * width > MAX_RESIZED:
        raise Undecodable(
            f"{levels.shape[1]} x {levels.shape[0]} would become {width} x {height}, and at most {MAX_RESIZED:,} pixels are made; crop it, "
            "or leave it out"
        )
    if step.engine == "plain":
        return _along(_along(levels, 0, height, step.filter), 1, width, step.filter)
    filter_ = getattr(pillow().Resampling, step.filter.upper())
    bands = [
        pillow().fromarray(np.ascontiguousarray(levels[..., band])).resize((width, height), filter_)
        for band in range(3)
    ]
    return np.stack([np.asarray(band, dtype=np.float32) for band in bands], axis=-1)


def _along(levels: Levels, axis: int, size: int, filter_: str) -> Levels:
    """One axis brought to a size by the pixels around each place."""
    have = levels.shape[axis]
    ratio = np.float32(have / size)
    if filter_ == "nearest":
        places = np.floor(np.arange(size, dtype=np.float32) * ratio).astype(np.intp)
        found: Levels = np.take(levels, np.minimum(places, have - 1), axis=axis)
        return found
    centers = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * ratio - np.float32(0.5)
    if filter_ == "bilinear":
        centers = np.maximum(centers, 0)
    first = np.floor(centers).astype(np.intp)
    rest = (centers - first).astype(np.float32)
    taps = ((0, 1 - rest), (1, rest)) if filter_ == "bilinear" else tuple(_cubic(rest))
    shape = [1, 1, 1]
    shape[axis] = size
    total = np.zeros((), np.float32)
    for offset, weight in taps:
        seen = np.take(levels, np.clip(first + offset, 0, have - 1), axis=axis)
        total = total + seen * weight.reshape(shape).astype(np.float32)
    return total


def _cubic(rest: npt.NDArray[np.float32]) -> list[tuple[int, npt.NDArray[np.float32]]]:
    """The weights of the four pixels around a place."""
    found = []
    for offset in (-1, 0, 1, 2):
        x = np.abs(rest - offset)
        near = ((_A + 2) * x - (_A + 3)) * x * x + 1
        far = ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A
        found.append((offset, np.where(x <= 1, near, far)))
    return found


def _placed(levels: Levels, size: Sequence[int], start: Sequence[int], fill: Sequence[int]) -> Levels:
    """The part of the levels of a size that begins at ``start``; below 0 and beyond their end are ``fill``."""
    out = np.empty((size[0], size[1], 3), np.float32)
    out[:] = fill
    here, there = [], []
    for begin, want, have in zip(start, size, levels.shape, strict=False):
        first, last = max(0, begin), min(have, begin + want)
        there.append(slice(first, last))
        here.append(slice(first - begin, last - begin))
    out[here[0], here[1]] = levels[there[0], there[1]]
    return out
