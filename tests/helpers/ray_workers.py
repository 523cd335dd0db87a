"""Workers of a Ray cluster that are told apart, or end when they should not; in a module that the processes of the cluster import."""

from __future__ import annotations

import os
import signal
from typing import Any

import embedkit.ray.worker as real
from helpers.noted import note


class Counted(real.RayWorker):
    """Notes each process that loads the bundle (``begun``), and each block."""

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
