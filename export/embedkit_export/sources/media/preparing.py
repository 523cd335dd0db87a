"""What a model's files say of the way to its pixels, and the readings that all such files share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from embedkit.bundle.manifest import ResizeFilter
from embedkit.errors import ExportError
from embedkit_export.recipes.images import ImageInput

FILTERS: dict[int, ResizeFilter] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers."""


@dataclass(frozen=True)
class Preparing:
    """What is done to a picture, why, and (where transformers has it) the processor that does the same."""

    image: ImageInput
    reasons: list[str] = field(default_factory=list)
    processor: Any = None


def sizes(given: Any) -> dict[str, int]:
    """The sizes that a processor states, by name."""
    if given is None:
        return {}
    if isinstance(given, int):
        return {"height": given, "width": given}
    names = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
    values = {name: given.get(name) if isinstance(given, dict) else getattr(given, name, None) for name in names}
    return {name: int(value) for name, value in values.items() if value}


def filter_of(given: Any, setting: str) -> ResizeFilter:
    """The filter that a ``setting`` names, or gives the number of; `ExportError` where there is none."""
    found = FILTERS.get(given) if isinstance(given, int) else None
    for known in FILTERS.values():
        found = known if given == known else found
    if found is None:
        raise misstated(
            setting, f"one of {', '.join(sorted(FILTERS.values()))}, or Pillow's number of it (0 to 5)", given
        )
    return found


def numbers_of(given: Any, setting: str) -> list[float]:
    """Three numbers, a channel each, of three or of one; `ExportError` where a ``setting`` has others."""
    values = list(given) if isinstance(given, list | tuple) else [given] * 3
    if len(values) != 3:
        raise misstated(setting, "a number, or three", given)
    return [number_of(value, setting) for value in values]


def number_of(given: Any, setting: str) -> float:
    """The number of a ``setting``; `ExportError` where it has none."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise misstated(setting, "a number", given)
    return float(given)


def misstated(setting: str, expected: str, given: Any) -> ExportError:
    """What a ``setting`` of a model's files should be."""
    return ExportError(
        f"image: {setting}: expected {expected}, found {given!r:.80}; mend the model's files, or give a table in the recipe (image = {{...}})"
    )
