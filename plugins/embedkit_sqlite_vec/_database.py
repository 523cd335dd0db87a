"""A connection to one SQLite file: transactions, and errors that say what to do next.

SQLite's own lock files keep several processes apart; this process has one connection and a lock. The log (WAL) is synced at
every commit, so that what was written survives the process and the machine.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlite_vec

from embedkit.stores import FilterError, StoreError, TransientStoreError, translated_errors

WAIT_SECONDS = 30.0
"""How long another process's write is waited for."""

_CACHE_KIB = 64 << 10  # Searches read every vector: from 2 MiB, the default, they take twice as long.
_PAGE = 16_384  # A vector of 1,024 numbers then lies beside its row, not on pages of its own.


def _sqlite() -> Any:
    """Python's SQLite, or the package that stands in for one that was built without extensions."""
    import sqlite3

    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return sqlite3
    import pysqlite3

    return pysqlite3


sqlite = _sqlite()


class Database:
    """The file at ``path``, which is made where it is missing."""

    def __init__(self, path: str, setup: str) -> None:
        self.path = path
        self._process = os.getpid()
        self._using = threading.RLock()
        self._connection: Any = None
        with self._errors("opening it"):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._connection = connection = sqlite.connect(
                path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                self.close()
                raise
        with self.transaction("opening it", write=True) as using:
            using.execute(setup)

    @contextmanager
    def transaction(self, what: str, *, write: bool = False) -> Iterator[Any]:
        """The connection in a transaction of its own; what goes wrong is an embedkit error that says ``what`` was
        done."""
        with self._using, self._errors(what):
            connection = self._connection
            if connection is None:
                raise StoreError(f"{what}: the store was closed; open it again")
            if self._process != os.getpid():  # SQLite's locks do not pass to a forked process
                raise StoreError(f"{what}: the store was opened by process {self._process}; open it again in this one")
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:  # a full disk may have ended it already
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection; the last one to do so moves the log into the file."""
        with self._using:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                connection.close()

    def _prepare(self, connection: Any) -> None:
        connection.enable_load_extension(True)
        sqlite_vec.load(connection)
        connection.enable_load_extension(False)
        connection.execute(f"PRAGMA page_size = {_PAGE}")
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        if encoding != "UTF-8":
            raise StoreError(f"{self.path!r} keeps its text in {encoding}, which orders it otherwise; use another file")

    def _errors(self, what: str) -> AbstractContextManager[None]:
        """Turn whatever SQLite raises in the block into an embedkit error."""
        return translated_errors(f"the file {self.path!r}: {what}", _translated, (OSError, sqlite.Error))


def _write_ahead(connection: Any) -> None:
    """Let readers go on while somebody writes. Two processes that ask for it at once do not wait for each other."""
    until = time.monotonic() + WAIT_SECONDS
    while not _in_wal(connection, last=time.monotonic() > until):
        time.sleep(0.02)


def _in_wal(connection: Any, *, last: bool) -> bool:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite.OperationalError as error:
        if last or "locked" not in str(error):
            raise
        return False
    return True


def _translated(what: str, error: Exception) -> StoreError:
    said = str(error)
    message = f"{what}: {said}"
    if "no such table" in said:
        return StoreError(f"{message}; the collection was dropped meanwhile: open it again")
    if "locked" in said or "busy" in said:
        return TransientStoreError(
            f"{message}; another process has been writing for long: try again when it has ended its transaction"
        )
    if "disk is full" in said:
        return StoreError(f"{message}; nothing of this write was kept: make room on its disk, and run again")
    if "readonly" in said or isinstance(error, PermissionError):
        return StoreError(f"{message}; make the file and its folder writable, or use another file")
    if "not a database" in said or "malformed" in said:
        return StoreError(f"{message}; it is not, or no longer, an SQLite file: restore it, or use another file")
    if "too many SQL variables" in said or "Expression tree is too large" in said or "parser stack" in said:
        return FilterError(f"{message}; the filter is too large: split it, or join values with is_in")
    if "too big" in said:
        return StoreError(f"{message}; SQLite keeps at most 1 GB a row: split the text")
    return StoreError(f"{message}; look whether the path, its folder's permissions and its disk are sound")
