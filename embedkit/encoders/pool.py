"""An encoder of several processes: items go to workers through pipes, vectors come back through shared memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.util import Finalize
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from embedkit.bundle.folder import Bundle
from embedkit.runtime.frontends.base import Item, Rows
from embedkit.runtime.loaded import PendingRows
from embedkit.runtime.options import LoadOptions, OnTruncate, check_count
from embedkit.system.processes import cpu_count

from .base import TextEncoder
from .workers import PIECE_ITEMS, Crew

_SMALL_PIECE = 16
_ITEM_WEIGHT = 16  # characters that an item costs beside its own


class EncoderPool(TextEncoder):
    """`Encoder` in several worker processes, with the same vectors bit for bit; for machines where the threads of one
    process do not use all cores. Several threads may share one.

    A worker that ends (for lack of memory, say) is replaced with a warning and its texts are encoded again; when three
    have ended on the same texts, `WorkerError` is raised. Use it as a context manager, or call `close`. As with
    everything that starts processes, a program's main module makes it below ``if __name__ == "__main__":``.
    """

    def __init__(self, bundle: Bundle, crew: Crew, *, on_truncate: OnTruncate) -> None:
        super().__init__(bundle, crew.setup, on_truncate=on_truncate)
        self._crew = crew
        # Closes at exit as well, before multiprocessing ends what is left.
        self._close = Finalize(self, crew.close, exitpriority=10)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        workers: int | None = None,
        device: str = "auto",
        variant: str = "auto",
        engine: str = "auto",
        threads: int | None = None,
        token_budget: int | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> EncoderPool:
        """Start ``workers`` processes, by default one for each CPU that this process may use, each of which loads the
        bundle.

        ``threads`` is for each worker, by default its share of the CPUs; the other options are those of
        `Encoder.load`, and so are the errors; `WorkerError` where a process cannot be started.
        """
        check_count("workers", workers)
        options = LoadOptions(device, variant, engine, threads, token_budget, on_truncate)
        workers = workers or cpu_count()
        options = replace(options, threads=threads or max(1, cpu_count() // workers))
        bundle = Bundle.open(path)
        given = [output for role in bundle.manifest.towers for output in bundle.tower(role).outputs.values()]
        dim = max((output.dim for output in given if output.kind == "dense"), default=1)
        return cls(bundle, Crew(os.fspath(path), options, workers, dim), on_truncate=on_truncate)

    @property
    def workers(self) -> list[int]:
        """The ids of the worker processes."""
        return [worker.process.pid or 0 for worker in self._crew.workers]

    @property
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""
        return len(self._crew.workers) * self.threads

    def close(self) -> None:
        """Let the work in hand end, then end the workers and free their memory. May be called again."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, role: str, items: list[Item], outputs: Sequence[str]) -> list[PendingRows]:
        """Hand the items to the workers, each in exactly one part."""
        modality = self.modality(role)
        costs = np.array([modality.cost(item) for item in items], dtype=np.int64)
        return [
            (rows, self._crew.submit((role, [modality.portable(items[row]) for row in rows], list(outputs))))
            for rows in _pieces(costs, len(self._crew.workers))
        ]


def _pieces(sizes: npt.NDArray[np.int64], workers: int) -> list[Rows]:
    """Rows of each piece of work: items of similar cost, the largest first, and as much in one piece as in another."""
    count = max(-(-len(sizes) // PIECE_ITEMS), min(4 * workers, -(-len(sizes) // _SMALL_PIECE)))
    order = np.argsort(-sizes, kind="stable")
    weights = sizes[order] + _ITEM_WEIGHT
    ends = np.cumsum(weights)
    numbers = (ends - weights) * count // max(1, int(ends[-1]))
    pieces = np.split(order, np.flatnonzero(np.diff(numbers)) + 1)
    return [piece[i : i + PIECE_ITEMS] for piece in pieces for i in range(0, len(piece), PIECE_ITEMS)]
