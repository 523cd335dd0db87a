"""What processes of a cluster note in files of the cache folder, which all of them are told by ``EMBEDKIT_CACHE``."""

from __future__ import annotations

import os
from pathlib import Path


def note(name: str) -> None:
    """Write this process down."""
    with open(_place(name), "a") as file:
        file.write(f"{os.getpid()}\n")


def noted(name: str, *, keep: bool = False) -> list[int]:
    """The processes that are written down, in their order, and the file is removed unless it is to be kept."""
    place = _place(name)
    found = [int(line) for line in place.read_text().split()] if place.exists() else []
    if not keep:
        place.unlink(missing_ok=True)
    return found


def _place(name: str) -> Path:
    return Path(os.environ["EMBEDKIT_CACHE"], f"noted-{name}")
