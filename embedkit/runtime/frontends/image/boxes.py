"""Boxes in a picture, moved as it is resized and cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import ImageFrontend
from embedkit.records.media import Image
from embedkit.runtime.frontends.media import Undecodable, read_file

from .decoding import MAX_PICTURE_BYTES, size_of, upright
from .pixels import Prepared
from .steps import placed


def moved_boxes(frontend: ImageFrontend, item: Any, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, 4) left, top, right, bottom of ``boxes`` in the pixels of a checked picture, upright, as places in what it is prepared to;
    what is beyond its edges is cut off. Raises `Undecodable` where nothing is left of one. A picture that was prepared before
    has its boxes already."""
    if isinstance(item, Prepared):
        return boxes
    width, height = picture_size(item)
    scale, shift, (high, wide) = placed(frontend.steps, height, width)
    moved = boxes.astype(np.float64)
    moved[:, 0::2] = np.clip(moved[:, 0::2] * scale[1] + shift[1], 0, wide)
    moved[:, 1::2] = np.clip(moved[:, 1::2] * scale[0] + shift[0], 0, high)
    lost = (moved[:, 2:] <= moved[:, :2]).any(axis=1)
    if lost.any():
        number = int(lost.argmax())
        raise Undecodable(
            f"box {number} {boxes[number].tolist()} lies beyond what is read of the picture of {width} x {height}; leave it out"
        )
    return moved.astype(np.float32)


def picture_size(item: Any) -> tuple[int, int]:
    """Width and height of a checked picture, upright; of a file the head alone is read. Raises `Undecodable`."""
    if isinstance(item, Path):
        return size_of(read_file(item, MAX_PICTURE_BYTES))
    if isinstance(item, Image):
        return size_of(item.data)
    if isinstance(item, np.ndarray):
        return item.shape[1], item.shape[0]
    picture = upright(item)
    return picture.width, picture.height
