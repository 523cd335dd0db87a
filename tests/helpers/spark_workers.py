"""Workers of a Spark cluster that are told apart, or end when they should not; in a module that the processes of the cluster import."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any

from embedkit.ingestion.distributed.block import BlockIngest
from embedkit.spark.worker import SparkWorker
from helpers.noted import note


class Noted(SparkWorker):
    """Notes each process that loads the bundle (``begun``), and each block."""

    __slots__ = ()

    def _block(self) -> Any:
        import embedkit.spark.worker as module

        if self.plan.run_id not in module._made:
            note("begun")
        block = super()._block()

        def noting(table: Any) -> Any:
            note("blocks")
            return block(table)

        return noting


class Deadly(SparkWorker):
    """Ends its process when a text that says so is encoded."""

    __slots__ = ()

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        block: BlockIngest = self._block()
        encode = block.encoder.encode_outputs

        def ending(texts: list[str], **options: Any) -> Any:
            if any("deadly" in text for text in texts):
                note("killed")
                os.kill(os.getpid(), signal.SIGKILL)
            return encode(texts, **options)

        block.encoder.encode_outputs = ending
        return super().__call__(batches)
