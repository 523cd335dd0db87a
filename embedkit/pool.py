"""An encoder of several processes: texts go to workers through pipes, vectors come back through shared memory."""

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
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.util import Finalize
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.bundle.folder import Bundle
from embedkit.runtime.autotune import undecided
from embedkit.runtime.frontends.template import Text
from embedkit.runtime.streaming import Part, size
from embedkit.runtime.tower import Computed, NoVector, Rows
from embedkit.system.processes import cpu_count
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.values import Values, placed

from .encoder import Encoder, check_options
from .encoding import OnTruncate, TextEncoder
from .errors import EmbedkitError, WorkerError

if TYPE_CHECKING:
    from typing_extensions import Self

ATTEMPTS = 3
"""How many workers may end on the same texts before that is an error."""

_PIECE_TEXTS = 256
_SMALL_PIECE = 16
_TEXT_WEIGHT = 16  # characters that a text costs beside its own
_GRACE_SECONDS = 5.0

_Job: TypeAlias = tuple[str, list[Text], list[str]]


class EncoderPool(TextEncoder):
    """`Encoder` in several worker processes, with the same vectors bit for bit; for machines where the threads of one
    process do not use all cores. Several threads may share one.

    A worker that ends (for lack of memory, say) is replaced with a warning and its texts are encoded again; when three
    have ended on the same texts, `WorkerError` is raised. Use it as a context manager, or call `close`. As with
    everything that starts processes, a program's main module makes it below ``if __name__ == "__main__":``.
    """

    def __init__(self, bundle: Bundle, crew: _Crew, *, on_truncate: OnTruncate) -> None:
        about = crew.about
        super().__init__(
            bundle,
            device=about.device,
            variant=about.variant,
            engine=about.engine,
            why=about.why,
            threads=about.threads,
            token_budget=about.token_budget,
            on_truncate=on_truncate,
        )
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
        check_options(workers=workers, threads=threads, token_budget=token_budget, on_truncate=on_truncate)
        workers = workers or cpu_count()
        bundle = Bundle.open(path)
        options = {
            "device": device,
            "variant": variant,
            "engine": engine,
            "threads": threads or max(1, cpu_count() // workers),
            "token_budget": token_budget,
            "on_truncate": "ignore",
        }
        given = [output for role in bundle.manifest.towers for output in bundle.tower(role).outputs.values()]
        dim = max((output.dim for output in given if output.kind == "dense"), default=1)
        return cls(bundle, _Crew(os.fspath(path), options, workers, dim), on_truncate=on_truncate)

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

    def _submit(self, role: str, items: list[Text], outputs: Sequence[str]) -> list[Part]:
        parts: list[Part] = []
        for rows in _pieces(np.array([size(item) for item in items], dtype=np.int64), len(self._crew.workers)):
            sent: list[Text] = [item if isinstance(item := items[row], str) else dict(item) for row in rows]
            parts.append((rows, self._crew.submit((role, sent, list(outputs)))))
        return parts


def _pieces(sizes: npt.NDArray[np.int64], workers: int) -> list[Rows]:
    """Rows of each piece of work: texts of similar length, longest first, and as much text in one piece as in
    another."""
    count = max(-(-len(sizes) // _PIECE_TEXTS), min(4 * workers, -(-len(sizes) // _SMALL_PIECE)))
    order = np.argsort(-sizes, kind="stable")
    weights = sizes[order] + _TEXT_WEIGHT
    ends = np.cumsum(weights)
    numbers = (ends - weights) * count // max(1, int(ends[-1]))
    pieces = np.split(order, np.flatnonzero(np.diff(numbers)) + 1)
    return [piece[i : i + _PIECE_TEXTS] for piece in pieces for i in range(0, len(piece), _PIECE_TEXTS)]


@dataclass(frozen=True, slots=True)
class _About:
    """What a worker says when it is ready."""

    device: str
    variant: str
    engine: str
    why: str
    threads: int
    token_budget: int


@dataclass(frozen=True, slots=True)
class _Done:
    """A worker's answer: its dense vectors by name, unless ``shape`` is that of those in shared memory."""

    values: dict[str, Values]
    shape: tuple[int, int] | None
    truncated: bytes
    tokens: int
    slots: int


class _Ended(Exception):
    """A worker's process is not there any more."""


class _Crew:
    """The workers and the threads that wait for them: one each, so that no more texts are on their way than are
    worked on."""

    def __init__(self, path: str, options: Mapping[str, Any], count: int, dim: int) -> None:
        self.workers: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="embedkit-pool")
        self._closing = threading.Lock()
        self._open = True
        try:
            # Where the engine is left open the first worker decides, by a measurement perhaps, and all others follow.
            for number in (1, count - 1) if undecided(options["engine"]) else (count,):
                started = [_Worker(path, options, dim) for _ in range(number)]
                self.workers += started
                for worker in started:
                    worker.start()
                for worker in started:
                    self.about = worker.ready()
                options = {**options, "engine": self.about.engine}
            for worker in self.workers:
                worker.options = options
        except BaseException:
            self.close()
            raise
        for worker in self.workers:
            self._idle.put(worker)

    def submit(self, job: _Job) -> Any:
        """The future `Computed` of some items."""
        if not self._open:
            raise WorkerError("this EncoderPool is closed; load another one")
        return self._threads.submit(self._run, job)

    def close(self) -> None:
        with self._closing:
            self._open = False
            self._threads.shutdown(wait=True, cancel_futures=True)
            while self.workers:
                self.workers.pop().close()

    def _run(self, job: _Job) -> Computed:
        worker = self._idle.get()
        try:
            for attempt in range(1, ATTEMPTS + 1):
                if not worker.process.is_alive():
                    worker.restart()
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


class _Worker:
    """One process with the memory that its vectors come back in; used by one thread at a time."""

    process: SpawnProcess

    def __init__(self, path: str, options: Mapping[str, Any], dim: int) -> None:
        self._path, self.options = path, options
        self._memory = SharedMemory(create=True, size=_PIECE_TEXTS * dim * np.dtype(np.float32).itemsize)

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

    def ready(self) -> _About:
        """Wait until the worker has loaded the bundle; what prevented it is raised here."""
        try:
            about = self._receive()
        except _Ended as error:
            raise WorkerError(
                f"{error} before it was ready, as its output may tell; a program's main module must make its EncoderPool below "
                "  if __name__ == '__main__':"
            ) from None
        assert isinstance(about, _About)
        return about

    def restart(self) -> None:
        self._pipe.close()
        self.start()
        self.ready()

    def run(self, job: _Job) -> Computed:
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
        return Computed(values, np.frombuffer(done.truncated, dtype=np.bool_), done.tokens, done.slots)

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


def _work(pipe: connection.Connection, memory_name: str, path: str, options: Mapping[str, Any]) -> None:
    """A worker's life: load, then answer until None comes or the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then closes
    os.environ["RAYON_NUM_THREADS"] = str(options["threads"])  # those of the tokenizers library
    try:
        encoder = Encoder.load(path, **options)
    except Exception as error:
        pipe.send(_portable(error))
        return
    memory = SharedMemory(memory_name)
    try:
        about = _About(
            encoder.device, encoder.variant, encoder.engine, encoder.why, encoder.threads, encoder.token_budget
        )
        pipe.send(about)
        while (job := pipe.recv()) is not None:
            pipe.send(_answer(encoder, job, memory))
    except (EOFError, OSError):
        pass
    finally:
        memory.close()


def _answer(encoder: Encoder, job: _Job, memory: SharedMemory) -> _Done | Exception:
    try:
        return _encode(encoder, job, memory)
    except Exception as error:
        return _portable(error)


def _encode(encoder: Encoder, job: _Job, memory: SharedMemory) -> _Done:
    role, items, outputs = job
    truncated = np.empty(len(items), dtype=np.bool_)
    tokens = slots = 0
    parts: list[tuple[Rows, dict[str, Values]]] = []
    for rows, future in encoder._submit(role, items, outputs):
        part = future.result()
        truncated[rows] = part.truncated
        tokens, slots = tokens + part.tokens, slots + part.slots
        parts.append((rows, part.values))
    about = encoder.outputs(role)[outputs[0]]
    if len(outputs) == 1 and about.kind == "dense":
        shared: FloatArray = np.ndarray((len(items), about.dim), np.float32, buffer=memory.buf)
        for rows, values in parts:
            shared[rows] = values[outputs[0]]  # type: ignore[assignment]
        return _Done({}, shared.shape, truncated.tobytes(), tokens, slots)
    made = {name: placed([(rows, values[name]) for rows, values in parts], len(items)) for name in outputs}
    return _Done(made, None, truncated.tobytes(), tokens, slots)


def _portable(error: Exception) -> Exception:
    """The error if it can be sent: those of onnxruntime cannot."""
    if isinstance(error, NoVector | EmbedkitError):
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:
            pass
    return WorkerError(f"a worker failed: {type(error).__name__}: {error}")
