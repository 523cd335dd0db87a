"""A connection to one DuckDB file: transactions, and errors that say what to do next.

One process at a time has the file open, which DuckDB sees to; stores of this process share its database, and a lock: two that write one
new id at the same time would both insert it. What is committed is in the log on the disk, so that it survives the process and the machine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

import duckdb

from embedkit.stores import FilterError, StoreError, TransientStoreError, translated_errors


class _Lock:
    """One of a file, for as long as a store has it open."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


_using: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
_finding = threading.Lock()


class Database:
    """The file at ``path``, which is made where it is missing."""

    def __init__(self, path: str, setup: Sequence[str]) -> None:
        self.path = path
        self._process = os.getpid()
        with _finding:
            self._using = _using.setdefault(os.path.realpath(path), _Lock())
        self._connection: Any = None
        with translated_errors(f"the file {path!r}: opening it", _translated):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _require_database(path)
            self._connection = duckdb.connect(path)
        try:
            with self.transaction("opening it") as using:
                for statement in setup:
                    using.execute(statement)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self, what: str) -> Iterator[Any]:
        """The connection in a transaction of its own; what goes wrong is an embedkit error that says ``what`` was
        done."""
        with self._using.lock, translated_errors(f"the file {self.path!r}: {what}", _translated):
            connection = self._connection
            if connection is None:
                raise StoreError(f"{what}: the store was closed; open it again")
            if self._process != os.getpid():
                raise StoreError(f"{what}: the store was opened by process {self._process}; open it again in this one")
            connection.begin()
            try:
                yield connection
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # what went wrong may have ended it already
                    connection.rollback()
                raise

    def close(self) -> None:
        """Close the connection; the last one of this process moves the log into the file."""
        with self._using.lock:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                if self._process == os.getpid():
                    connection.close()


def _require_database(path: str) -> None:
    """Raise `StoreError` for a file of another kind. One of rows (CSV, JSON lines, Parquet) DuckDB itself would open as a table, beside a
    database in memory, in which what is written is lost."""
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        head = file.read(12)
    if head[8:] != b"DUCK":
        raise StoreError(f"the file {path!r}: it is not, or no longer, a DuckDB file: restore it, or use another file")


def _translated(what: str, error: Exception) -> StoreError:
    said = " ".join(str(error).split())[:500]
    message = f"{what}: {said}"
    if isinstance(error, duckdb.CatalogException) and "does not exist" in said:
        return StoreError(f"{message}; the collection was dropped meanwhile: open it again")
    if "Could not set lock" in said or "Conflicting lock" in said:
        return StoreError(
            f"{message}; another process has the file open: close it there, since DuckDB lets in one at a time"
        )
    if isinstance(error, duckdb.TransactionException) or "onflict" in said:
        return TransientStoreError(f"{message}; another store of this process wrote the same rows: try again")
    if "No space left" in said or "not enough disk space" in said.lower():
        return StoreError(f"{message}; nothing of this write was kept: make room on its disk, and run again")
    if "expression depth" in said:
        return FilterError(f"{message}; the filter is too large: split it, or join values with is_in")
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"{message}; write fewer or shorter texts at once")
    if isinstance(error, PermissionError) or "Permission denied" in said or "ead-only" in said:
        return StoreError(f"{message}; make the file and its folder writable, or use another file")
    if "not a valid DuckDB database" in said or "orrupt" in said:
        return StoreError(f"{message}; it is not, or no longer, a DuckDB file: restore it, or use another file")
    return StoreError(f"{message}; look whether the path, its folder's permissions and its disk are sound")
