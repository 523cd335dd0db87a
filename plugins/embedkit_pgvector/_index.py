"""How HNSW is built over a table's vectors: with the memory that its graph needs, since one that does not fit is built on disk,
several times as slowly."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors, sql

MOST_MEMORY = 1 << 30
"""Bytes that are asked for at the most. A server that allows each of its operations more is left at that."""

_LINK = 16
"""Bytes of an edge while the graph is built."""
_ROW = 256
"""Bytes of a row's element, list of places and rounding, beside its vector and edges."""
_SHARED = 4 << 20
"""Bytes of what workers share beside the graph."""


def graph_bytes(rows: int, vector: int, m: int) -> int:
    """The memory that the graph of so many rows takes, by the structures of pgvector: a vector of so many bytes, 2 ``m`` edges on the
    ground and on average one more ``m`` above it."""
    return _SHARED + rows * (vector + 3 * m * _LINK + _ROW)


def build(cursor: psycopg.Cursor[Any], statement: sql.SQL | sql.Composed, needed: int) -> None:
    """Build an index, by itself in the transaction, with ``needed`` bytes if they are at most `MOST_MEMORY`. Workers build it
    together where the server's shared memory holds the graph: that of a container is often 64 MB."""
    allowed = "SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'maintenance_work_mem'"
    if cursor.execute(allowed).fetchall()[0][0] < (wanted := min(needed, MOST_MEMORY)):
        cursor.execute(sql.SQL("SET LOCAL maintenance_work_mem = {}").format(sql.Literal(f"{-(-wanted // 1024)}kB")))
    try:
        with cursor.connection.transaction():
            cursor.execute(statement)
    except (errors.DiskFull, errors.OutOfMemory):
        cursor.execute("SET LOCAL max_parallel_maintenance_workers = 0")
        cursor.execute(statement)
