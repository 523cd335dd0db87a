"""A connection to one PostgreSQL database: transactions with a deadline, and made again after it broke."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from psycopg.rows import tuple_row

from embedkit.stores import StoreError, answered, request_seconds, some_home

from ._errors import translated

LOCK = 0x656D6265646B6974  # "embedkit"
"""The advisory lock that one process at a time holds while it makes or drops tables."""

_NETWORK: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_SETUP = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    "CREATE SCHEMA IF NOT EXISTS embedkit",
    "CREATE TABLE IF NOT EXISTS embedkit.collections (number bigserial PRIMARY KEY, name text UNIQUE NOT NULL, "
    "dim integer NOT NULL, metric text NOT NULL, fingerprint text NOT NULL)",
    "ALTER TABLE embedkit.collections ADD COLUMN IF NOT EXISTS sparse integer NOT NULL DEFAULT 0, "
    "ADD COLUMN IF NOT EXISTS multivector integer NOT NULL DEFAULT 0",
)


class Database:
    """The database that ``options`` of libpq name, with the schema and the extension made where they are missing."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._using = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        self._closed = False
        with self.transaction("connecting"):
            pass

    @contextmanager
    def transaction(self, what: str, *, patient: bool = False) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor in a transaction of its own; what goes wrong is an embedkit error that says ``what`` was done. Unless
        it is ``patient``, it fails where the server takes longer than a request may."""
        seconds = None if patient else request_seconds()
        with self._using, translated(what):
            if self._closed:
                raise StoreError(f"{what}: the store was closed; open it again")
            connection = self._connect()
            try:
                with (
                    _deadline(connection, seconds),
                    connection.transaction(),
                    connection.cursor(binary=True, row_factory=tuple_row) as cursor,
                ):
                    yield cursor
            finally:
                if connection.broken:
                    self._connection = None

    def close(self) -> None:
        """Close the connection."""
        with self._using:
            self._closed = True
            if self._connection is not None:
                self._connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            with some_home():
                connection = answered("connecting", self._connected)
            with _deadline(connection, request_seconds()), connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                for statement in _SETUP:
                    connection.execute(statement)
            register_vector(connection)
            self._connection = connection
        return self._connection

    def _connected(self) -> psycopg.Connection[Any]:
        # A pooler in front of the server may give each transaction another session, which knows no prepared statement.
        return psycopg.connect(
            **self._options, autocommit=True, client_encoding="utf8", prepare_threshold=None, **_NETWORK
        )


@contextmanager
def _deadline(connection: psycopg.Connection[Any], seconds: float | None) -> Iterator[None]:
    """Cut the connection where the block takes longer: libpq itself waits for ever for a server that stays silent."""

    def cut() -> None:
        with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut) if seconds is not None else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer:
            timer.cancel()
