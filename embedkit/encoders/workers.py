"""The worker processes of a pool."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from multiprocessing.shared_memory import SharedMemory
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.errors import ClosedError, EmbedkitError, WorkerError
from embedkit.runtime.autotune import undecided
from embedkit.runtime.frontends.base import Item, Modality, Rows, Unencodable
from embedkit.runtime.loaded import LoadedBundle, PendingRows, Setup
from embedkit.runtime.loading import load
from embedkit.runtime.options import LoadOptions
from embedkit.runtime.tower import BatchResult
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.values import Values, scatter

ATTEMPTS = 3
"""How many workers may end on the same items before that is an error."""

_PIECE_ITEMS = 256
_SMALL_PIECE = 16
_ITEM_WEIGHT = 16  # characters that an item costs beside its own

_GRACE_SECONDS = 5.0

Job: TypeAlias = tuple[str, list[Item], list[str]]
"""A role, checked items, and the names of outputs."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A worker's answer: its dense vectors by name, unless ``shape`` is that of those in shared memory."""

    values: dict[str, Values]
    shape: tuple[int, int] | None
    truncated: bytes
    tokens: int
    slots: int
    counts: bytes
    preparing: float


class _Ended(Exception):
    """A worker's process is not there any more."""


class Crew:
    """The workers and the threads that wait for them: one each, so that no more texts are on their way than are
    worked on."""

    def __init__(
        self, path: str, options: LoadOptions, count: int, dim: int, modalities: Mapping[str, Modality]
    ) -> None:
        self._modalities, self.restarts = modalities, 0
        self.workers: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="embedkit-pool")
        self._closing, self._counting = threading.Lock(), threading.Lock()
        self._open = True
        try:
            # Where the engine is left open the first worker decides, by a measurement perhaps, and all others follow.
            for number in (1, count - 1) if undecided(options.engine) else (count,):
                started = [_Worker(path, options, dim) for _ in range(number)]
                self.workers += started
                for worker in started:
                    worker.start()
                for worker in started:
                    self.setup = worker.ready()
                options = replace(options, engine=self.setup.engine)
            for worker in self.workers:
                worker.options = options
        except BaseException:
            self.close()
            raise
        for worker in self.workers:
            self._idle.put(worker)

    def submit(self, role: str, items: Sequence[Item], outputs: Sequence[str]) -> list[PendingRows]:
        """Hand checked items to the workers, each in exactly one part."""
        if not self._open:
            raise ClosedError("this EncoderPool is closed; load another one")
        modality = self._modalities[role]
        costs = np.array([modality.cost(item) for item in items], dtype=np.int64)
        parts: list[PendingRows] = []
        for rows in pieces(costs, len(self.workers)):
            job = role, [modality.portable(items[row]) for row in rows], list(outputs)
            parts.append((rows, self._threads.submit(self._run, job)))
        return parts

    def close(self) -> None:
        """Let the work in hand end, then end the workers and free their memory."""
        with self._closing:
            self._open = False
            self._threads.shutdown(wait=True, cancel_futures=True)
            while self.workers:
                self.workers.pop().close()

    def _run(self, job: Job) -> BatchResult:
        worker = self._idle.get()
        try:
            for attempt in range(1, ATTEMPTS + 1):
                if not worker.process.is_alive():
                    worker.restart()
                    with self._counting:
                        self.restarts += 1
                try:
                    return worker.run(job)
                except _Ended as error:
                    last = str(error)
                    if attempt < ATTEMPTS:
                        warnings.warn(
                            f"{last}; another takes its place and encodes its {len(job[1])} texts again",
                            RuntimeWarning,
                            stacklevel=2,
                        )
            raise WorkerError(
                f"{last}, as {ATTEMPTS - 1} before it did on the same {len(job[1])} texts; if the machine lacks memory, load with fewer "
                "workers or a smaller token_budget"
            )
        finally:
            self._idle.put(worker)


def pieces(sizes: npt.NDArray[np.int64], workers: int) -> list[Rows]:
    """Rows of each piece of work: items of similar cost, the largest first, and as much in one piece as in another."""
    count = max(-(-len(sizes) // _PIECE_ITEMS), min(4 * workers, -(-len(sizes) // _SMALL_PIECE)))
    order = np.argsort(-sizes, kind="stable")
    weights = sizes[order] + _ITEM_WEIGHT
    ends = np.cumsum(weights)
    numbers = (ends - weights) * count // max(1, int(ends[-1]))
    parts = np.split(order, np.flatnonzero(np.diff(numbers)) + 1)
    return [piece[i : i + _PIECE_ITEMS] for piece in parts for i in range(0, len(piece), _PIECE_ITEMS)]


class _Worker:
    """One process with the memory that its vectors come back in; used by one thread at a time."""

    process: SpawnProcess

    def __init__(self, path: str, options: LoadOptions, dim: int) -> None:
        self._path, self.options = path, options
        self._memory = SharedMemory(create=True, size=_PIECE_ITEMS * dim * np.dtype(np.float32).itemsize)

    def start(self) -> None:
        context = get_context("spawn")
        self._pipe, far = context.Pipe()
        self.process = context.Process(
            target=_work, args=(far, self._memory.name, self._path, self.options), daemon=True, name="embedkit-worker"
        )
        try:
            self.process.start()
        except OSError as error:
            raise WorkerError(f"a worker process cannot be started: {error}; load with fewer workers") from error
        finally:
            far.close()

    def ready(self) -> Setup:
        """Wait until the worker has loaded the bundle; what prevented it is raised here."""
        try:
            setup = self._receive()
        except _Ended as error:
            raise WorkerError(
                f"{error} before it was ready, as its output may tell; a program's main module must make its EncoderPool below "
                "  if __name__ == '__main__':"
            ) from None
        assert isinstance(setup, Setup)
        return setup

    def restart(self) -> None:
        self._pipe.close()
        self.start()
        self.ready()

    def run(self, job: Job) -> BatchResult:
        try:
            self._pipe.send(job)
        except OSError:
            raise self._ended() from None
        done = self._receive()
        assert isinstance(done, _Done)
        values = done.values
        if done.shape is not None:
            shared: FloatArray = np.ndarray(done.shape, dtype=np.float32, buffer=self._memory.buf)
            values = {job[2][0]: shared.copy()}
        counts = np.frombuffer(done.counts, dtype=np.int64)
        truncated = np.frombuffer(done.truncated, dtype=np.bool_)
        return BatchResult(values, truncated, done.tokens, done.slots, counts, done.preparing)

    def close(self) -> None:
        if hasattr(self, "process") and self.process.pid is not None:
            with suppress(OSError):
                self._pipe.send(None)
            self.process.join(_GRACE_SECONDS)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()
            self._pipe.close()
            self.process.close()
        self._memory.close()
        self._memory.unlink()

    def _receive(self) -> object:
        connection.wait([self._pipe, self.process.sentinel])
        try:
            # An answer counts even if the process ended after it.
            answer = self._pipe.recv() if self._pipe.poll() else None
        except (EOFError, OSError):
            answer = None
        if answer is None:
            raise self._ended()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _ended(self) -> _Ended:
        self.process.join()
        code = self.process.exitcode or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return _Ended(f"worker process {self.process.pid} {how}")


def _work(pipe: connection.Connection, memory_name: str, path: str, options: LoadOptions) -> None:
    """A worker's life: load, then answer until None comes or the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then closes
    os.environ["RAYON_NUM_THREADS"] = str(options.threads or 1)  # those of the tokenizers library
    try:
        loaded = load(path, options)
    except Exception as error:
        pipe.send(_portable(error))
        return
    memory = SharedMemory(memory_name)
    try:
        pipe.send(loaded.setup)
        while (job := pipe.recv()) is not None:
            pipe.send(_answer(loaded, job, memory))
    except (EOFError, OSError):
        pass
    finally:
        memory.close()


def _answer(loaded: LoadedBundle, job: Job, memory: SharedMemory) -> _Done | Exception:
    try:
        return _encode(loaded, job, memory)
    except Exception as error:
        return _portable(error)


def _encode(loaded: LoadedBundle, job: Job, memory: SharedMemory) -> _Done:
    role, items, outputs = job
    truncated = np.empty(len(items), dtype=np.bool_)
    counts = np.empty(len(items), dtype=np.int64)
    tokens, slots, preparing = 0, 0, 0.0
    parts: list[tuple[Rows, dict[str, Values]]] = []
    for rows, future in loaded.submit(role, items, outputs):
        part = future.result()
        truncated[rows], counts[rows] = part.truncated, part.counts
        tokens, slots, preparing = tokens + part.tokens, slots + part.slots, preparing + part.preparing
        parts.append((rows, part.values))
    about = loaded.towers[role].outputs[outputs[0]]
    if len(outputs) == 1 and about.kind == "dense":
        shared: FloatArray = np.ndarray((len(items), about.dim), np.float32, buffer=memory.buf)
        for rows, values in parts:
            shared[rows] = values[outputs[0]]  # type: ignore[assignment]
        return _Done({}, shared.shape, truncated.tobytes(), tokens, slots, counts.tobytes(), preparing)
    made = {name: scatter([(rows, values[name]) for rows, values in parts], len(items)) for name in outputs}
    return _Done(made, None, truncated.tobytes(), tokens, slots, counts.tobytes(), preparing)


def _portable(error: Exception) -> Exception:
    """The error if it can be sent: those of onnxruntime cannot."""
    if isinstance(error, Unencodable | EmbedkitError):
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:
            pass
    return WorkerError(f"a worker failed: {type(error).__name__}: {error}")
