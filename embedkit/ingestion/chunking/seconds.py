"""Long sounds in parts of some seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedkit.errors import InputError
from embedkit.runtime.frontends.audio.decoding import seconds_of
from embedkit.runtime.frontends.media import Undecodable

_DIGITS = 3
"""Of a second."""


def sound_parts(length: float, size: float, overlap: float) -> list[tuple[float, float]]:
    """Where the parts of ``length`` seconds start and end: ``size`` seconds each (the whole where it is not longer), each of which begins
    ``overlap`` before the end of the one before; the last ends with the sound, so that none is shorter."""
    if length <= size:
        return [(0.0, length)]
    parts, start = [], 0.0
    while start + size < length:
        parts.append((start, round(start + size, _DIGITS)))
        start = round(len(parts) * (size - overlap), _DIGITS)
    return [*parts, (round(length - size, _DIGITS), length)]


def length_of(metadata: Mapping[str, Any]) -> float:
    """The seconds of a row that is a sound; of one that does not say them its file is asked. Raises `InputError`."""
    given = metadata.get("seconds")
    if isinstance(given, int | float) and not isinstance(given, bool) and given > 0:
        return float(given)
    path = metadata.get("uri")
    if not isinstance(path, str) or not path:
        raise InputError("a sound to be cut: expected its file as `uri` in the metadata, found none")
    try:
        return seconds_of(Path(path))
    except Undecodable as error:
        raise InputError(f"{path}: {error}") from None
