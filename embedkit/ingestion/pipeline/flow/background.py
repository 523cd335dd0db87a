"""Work on threads of its own, so that reading, encoding and writing need not wait for each other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


class Background(Generic[_Job, _Result]):
    """Runs jobs on its threads, in order; the results come back on the caller's, in order too.

    After a job has failed no later one is begun, and `finished` raises the error.
    """

    def __init__(self, run: Callable[[_Job], _Result], *, stopping: threading.Event, threads: int = 1) -> None:
        self._run, self._stopping = run, stopping
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="embedkit-background")
        self._running: deque[tuple[_Job, Future[_Result]]] = deque()

    def submit(self, job: _Job) -> None:
        """Hand over a job."""
        self._running.append((job, self._threads.submit(self._guarded, job)))

    def finished(self, *, waiting: int = 0) -> Iterator[tuple[_Job, _Result]]:
        """The jobs that are done, with their results; waits until at most ``waiting`` are not."""
        while self._running and (self._running[0][1].done() or len(self._running) > waiting):
            job, future = self._running[0]
            result = future.result()
            self._running.popleft()
            yield job, result

    def stop(self) -> Iterator[tuple[_Job, _Result]]:
        """Begin no further job, let those in hand end, and give what has succeeded; raises nothing."""
        self._stopping.set()
        self._threads.shutdown(wait=True)
        for job, future in self._running:
            if future.exception() is None:
                yield job, future.result()
        self._running.clear()

    def _guarded(self, job: _Job) -> _Result:
        if self._stopping.is_set():
            raise RuntimeError("stopped")
        try:
            return self._run(job)
        except BaseException:
            self._stopping.set()
            raise
