"""A line from the executors to the driver, which Spark has not: what outlives a Python process of an executor, and what it raised.

The driver listens on a port of its own; who connects must know a secret of the run, which travels with the tasks.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from embedkit.errors import EmbedkitError, WorkerError
from embedkit.ingestion.distributed.attempts import Tries

_SECRET_BYTES = 32


@dataclass(slots=True)
class DriverLink:
    """The driver's end as the executors know it: `Attempts` of all of them, and `tell`. It pickles without its connection."""

    address: tuple[str, int]
    secret: bytes = field(repr=False)
    _connection: Connection | None = None

    def begin(self, rows: Sequence[bytes]) -> list[int]:
        """As `Attempts` says."""
        return list(self._asked("begin", rows))

    def alone(self, row: bytes) -> int:
        """As `Attempts` says."""
        return int(self._asked("alone", row))

    def end(self, rows: Sequence[bytes]) -> None:
        """As `Attempts` says."""
        self._asked("end", rows)

    def tell(self, error: EmbedkitError) -> None:
        """Hand the driver what is raised here, of which Spark would keep the words alone."""
        with suppress(Exception):  # it is raised all the same
            self._asked("tell", error)

    def __reduce__(self) -> tuple[Any, ...]:
        return DriverLink, (self.address, self.secret)

    def _asked(self, what: str, about: object) -> Any:
        if self._connection is None:
            try:
                self._connection = Client(self.address, authkey=self.secret)
            except OSError as error:
                place = f"{self.address[0]}:{self.address[1]}"
                raise WorkerError(
                    f"the driver at {place} cannot be reached ({error}); let executors connect to all its ports, or set "
                    "spark.driver.host to a name that they know"
                ) from error
        self._connection.send((what, about))
        return self._connection.recv()


class Listening:
    """The driver's end; ``link`` is what executors are given, ``told`` what they have raised."""

    def __init__(self, host: str) -> None:
        self.told: list[EmbedkitError] = []
        self._tries, self._lock = Tries(), threading.Lock()
        secret = secrets.token_bytes(_SECRET_BYTES)
        self._listener = Listener((host, 0), backlog=64, authkey=secret)
        self._closed = False
        self.link = DriverLink(self._listener.address, secret)  # type: ignore[arg-type]
        self._accepting = threading.Thread(target=self._accept, daemon=True, name="embedkit-driver-link")
        self._accepting.start()

    def close(self) -> None:
        """Take no further connection."""
        self._closed = True
        with suppress(OSError, EOFError):
            Client(self.link.address, authkey=self.link.secret).close()  # which ends the wait for one
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except Exception:  # who knows no secret, or left meanwhile
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with suppress(EOFError, OSError), connection:
            while True:
                what, about = connection.recv()
                with self._lock:
                    connection.send(self._answer(what, about))

    def _answer(self, what: str, about: Any) -> list[int] | int | None:
        if what == "begin":
            return self._tries.begin(about)
        if what == "alone":
            return self._tries.alone(about)
        if what == "end":
            self._tries.end(about)
        else:
            self.told.append(about)
        return None


@contextmanager
def listening(host: str) -> Iterator[Listening]:
    """The driver's end for the block. ``host`` is the name by which executors know the driver."""
    made = Listening(host)
    try:
        yield made
    finally:
        made.close()
