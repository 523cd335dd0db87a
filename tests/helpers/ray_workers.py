"""Workers of a Ray cluster that are told apart, or end when they should not; in a module that the processes of the cluster import."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import embedkit.ray.worker as real


class Counted(real.RayWorker):
    """Notes in the file that ``EMBEDKIT_CACHE`` has, ``begun``, each process that loads the bundle, and in ``blocks`` each block."""

    def __init__(self, *given: Any) -> None:
        note("begun")
        super().__init__(*given)

    def __call__(self, table: Any) -> Any:
        note("blocks")
        return super().__call__(table)


class Deadly(real.RayWorker):
    """Ends its process when a text that says so is encoded."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        encode = self._block.encoder.encode_outputs

        def ending(texts: list[str], **options: Any) -> Any:
            if any("deadly" in text for text in texts):
                note("killed")
                os.kill(os.getpid(), signal.SIGKILL)
            return encode(texts, **options)

        self._block.encoder.encode_outputs = ending


def note(name: str) -> None:
    with open(noted_in(name), "a") as file:
        file.write(f"{os.getpid()}\n")


def noted(name: str) -> list[int]:
    """The processes that are noted, in their order; and the notes are removed."""
    place = noted_in(name)
    found = [int(line) for line in place.read_text().split()] if place.exists() else []
    place.unlink(missing_ok=True)
    return found


def noted_in(name: str) -> Path:
    return Path(os.environ["EMBEDKIT_CACHE"], f"noted-{name}")
