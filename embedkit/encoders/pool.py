"""An encoder of several processes: items go to workers through pipes, vectors come back through shared memory."""

from __future__ import annotations

import os
from dataclasses import replace
from multiprocessing.util import Finalize
from types import TracebackType
from typing import Self

from embedkit.bundle.folder import Bundle
from embedkit.runtime.options import Decode, LoadOptions, OnTruncate, check_count
from embedkit.system.processes import cpu_count

from .base import BaseEncoder
from .info import EncoderInfo
from .workers import Crew


class EncoderPool(BaseEncoder):
    """`Encoder` in several worker processes, with the same vectors bit for bit; for machines where the threads of one
    process do not use all cores. Several threads may share one.

    A worker that ends (for lack of memory, say) is replaced with a warning and its texts are encoded again; when three
    have ended on the same texts, `WorkerError` is raised. Use it as a context manager, or call `close`. As with
    everything that starts processes, a program's main module makes it below ``if __name__ == "__main__":``.
    """

    def __init__(self, bundle: Bundle, crew: Crew, *, on_truncate: OnTruncate) -> None:
        super().__init__(bundle, crew.setup, crew, on_truncate=on_truncate)
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
        decode: Decode = "exact",
    ) -> EncoderPool:
        """Start ``workers`` processes, by default one for each CPU that this process may use, each of which loads the
        bundle.

        ``threads`` is for each worker, by default its share of the CPUs; the other options are those of
        `Encoder.load`, and so are the errors; `WorkerError` where a process cannot be started.
        """
        check_count("workers", workers)
        options = LoadOptions(device, variant, engine, threads, token_budget, on_truncate, decode)
        workers = workers or cpu_count()
        options = replace(options, threads=threads or max(1, cpu_count() // workers))
        bundle = Bundle.open(path)
        given = [output for role in bundle.manifest.towers for output in bundle.tower(role).outputs.values()]
        dim = max((output.dim for output in given if output.kind == "dense"), default=1)
        info = EncoderInfo(bundle)
        modalities = {role: info.modality(role) for role in info.roles}
        return cls(bundle, Crew(os.fspath(path), options, workers, dim, modalities), on_truncate=on_truncate)

    @property
    def workers(self) -> list[int]:
        """The ids of the worker processes."""
        return [worker.process.pid or 0 for worker in self._crew.workers]

    @property
    def restarts(self) -> int:
        """How many workers ended and were replaced."""
        return self._crew.restarts

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
