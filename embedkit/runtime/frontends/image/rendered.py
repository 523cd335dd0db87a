"""Texts that were drawn, or are by a function that the user brings."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedkit.bundle.manifest import ImageFrontend
from embedkit.checks import check_text
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Renderer


def as_drawn(frontend: ImageFrontend, value: Any, renderer: Renderer | None, where: str) -> Any:
    """What a role of drawn texts reads: of a text, or of an array without colours, (height, width, 3) uint8; anything else as it is.
    `InputError` where nothing draws a text, where it is larger than what the model reads, or where it has no ink."""
    if isinstance(value, str):
        if renderer is None:
            raise InputError(
                f"{where}: this role reads texts that were drawn, and nothing here draws one: give its pixels (height, width, 3) of "
                "uint8, or load the bundle with renderer=, a function from a text to such an array"
            )
        value = _rendered(renderer, check_text(value, where), where)
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype == np.uint8:
        value = np.repeat(value[..., None], 3, axis=2)
    if not isinstance(value, np.ndarray) or value.ndim != 3:
        return value
    height, width = frontend.size
    if value.shape[0] > height or value.shape[1] > width:
        raise InputError(
            f"{where}: drawn {value.shape[1]} x {value.shape[0]} pixels large, and the model reads {width} x {height}; split the text, or "
            "draw it smaller"
        )
    if value.dtype == np.uint8 and (value == 255).all():
        raise InputError(f"{where}: nothing is drawn on it, so it has no vector; leave it out")
    return value


def _rendered(renderer: Renderer, text: str, where: str) -> Any:
    found = renderer(text)
    made = np.asarray(found)
    if made.dtype != np.uint8 or made.ndim not in (2, 3) or (made.ndim == 3 and made.shape[2] != 3):
        raise InputError(
            f"{where}: expected the renderer to give (height, width) or (height, width, 3) of uint8, found {made.shape} of {made.dtype}"
        )
    return made
