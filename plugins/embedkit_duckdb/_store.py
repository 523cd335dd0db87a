"""The store over one DuckDB file.

The table ``embedkit_collections`` says what each collection was made for; a collection is a table whose name is made of a number,
so that no name of a user is ever part of a statement. An id is looked up by reading the column of ids: a unique index would lie in
memory, and DuckDB's refuses to replace a row with lists in the transaction that wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from embedkit.stores import (
    CollectionInfo,
    CollectionNotFoundError,
    CollectionSpec,
    Filter,
    FloatArray,
    Hit,
    Page,
    Record,
    RecordBatch,
    WriteResult,
    check_cursor,
    load_metadata,
)

from . import CAPABILITIES, FILE
from ._database import Database
from ._where import COLUMNS, Condition, columns, where

_SETUP = (
    "CREATE TABLE IF NOT EXISTS embedkit_collections (number BIGINT NOT NULL, name VARCHAR PRIMARY KEY, dim INTEGER NOT NULL, "
    "metric VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL)",
    "CREATE SEQUENCE IF NOT EXISTS embedkit_numbers",
)
_AMONG = "id IN (SELECT unnest(?::VARCHAR[]))"
_NUMBERED = "number IN (SELECT unnest(?::BIGINT[]))"
_LEAN = "id, text, metadata, hash"


class DuckdbStore:
    """A `embedkit.stores.contract.VectorStore` over a DuckDB file."""

    caps = CAPABILITIES[FILE]

    def __init__(self, path: str) -> None:
        self._database = Database(path, _SETUP)

    def ensure(self, spec: CollectionSpec) -> DuckdbCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        self._create(spec)
        return self.open(spec.name)

    def open(self, name: str) -> DuckdbCollection:
        """Open the collection."""
        with self._database.transaction(f"opening the collection {name!r}") as using:
            found = using.execute(
                "SELECT number, dim, metric, fingerprint FROM embedkit_collections WHERE name = ?", [name]
            ).fetchone()
        if found is None:
            raise CollectionNotFoundError(f"no collection {name!r}")
        number, dim, metric, fingerprint = found
        return DuckdbCollection(self._database, number, CollectionInfo(name, dim, metric, fingerprint))

    def names(self) -> list[str]:
        """The collections' names."""
        with self._database.transaction("listing the collections") as using:
            return sorted(name for (name,) in using.execute("SELECT name FROM embedkit_collections").fetchall())

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one; what is written next takes its room in the file."""
        with self._database.transaction(f"dropping the collection {name!r}") as using:
            found = using.execute("DELETE FROM embedkit_collections WHERE name = ? RETURNING number", [name]).fetchone()
            if found:
                using.execute(f"DROP TABLE {_table(found[0])}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _create(self, spec: CollectionSpec) -> None:
        kept = "".join(f", {name} {kind}" for name, kind in COLUMNS.items())
        with self._database.transaction(f"creating the collection {spec.name!r}") as using:
            made = using.execute(
                "INSERT INTO embedkit_collections VALUES (nextval('embedkit_numbers'), ?, ?, ?, ?) ON CONFLICT DO NOTHING "
                "RETURNING number",
                [spec.name, spec.dim, spec.metric, spec.fingerprint],
            ).fetchone()
            if made:
                using.execute(
                    f"CREATE TABLE {_table(made[0])} (number BIGINT NOT NULL, id VARCHAR NOT NULL, hash VARCHAR NOT NULL, vector "
                    f"FLOAT[{spec.dim}] NOT NULL, metadata VARCHAR NOT NULL, text VARCHAR NOT NULL{kept})"
                )


class DuckdbCollection:
    """A `embedkit.stores.contract.Collection` over a table."""

    def __init__(self, database: Database, number: int, info: CollectionInfo) -> None:
        self.info = info
        self._database = database
        self._rows = _table(number)

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows, all in one transaction; a row that is replaced keeps its number."""
        with self._database.transaction(f"writing {len(batch)} rows to {self.info.name!r}") as using:
            found = using.execute(f"SELECT id, number FROM {self._rows} WHERE {_AMONG}", [list(batch.ids)]).fetchall()
            numbers: dict[str, int] = dict(found)
            if found:
                using.execute(f"DELETE FROM {self._rows} WHERE {_NUMBERED}", [list(numbers.values())])
            new = [row_id for row_id in batch.ids if row_id not in numbers]
            given = using.execute("SELECT nextval('embedkit_numbers') FROM range(?)", [len(new)]).fetchall()
            numbers.update(zip(new, (number for (number,) in given), strict=True))
            using.from_arrow(self._arrow(batch, numbers)).insert_into(self._rows)
        return WriteResult(len(batch))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        vector = "vector" if with_vectors else "NULL"
        found = self._read("reading from", f"{_LEAN}, {vector}", (_AMONG, [list(ids)]))
        return [_record(row) for row in found]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        return dict(self._read("reading hashes from", "id, hash", (_AMONG, [list(ids)])))

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number deleted."""
        condition, values = where(filter) if ids is None else (_AMONG, [list(ids)])
        with self._database.transaction(f"deleting from {self.info.name!r}") as using:
            (deleted,) = using.execute(f"DELETE FROM {self._rows} WHERE {condition}", values).fetchone()
        return int(deleted)

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows, found by comparing all; their scores are computed in double precision."""
        condition, values = where(filter)
        far = "array_distance" if self.info.metric == "euclidean" else "array_negative_inner_product"
        nearest = f"{condition} ORDER BY {far}(vector, ?::FLOAT[{self.info.dim}]) LIMIT ?"
        out = []
        for vector in vectors:
            found = self._read("searching", "number", (nearest, [*values, vector.tolist(), k]))
            numbers = [number for (number,) in found]
            found = self._read("searching", "id, text, metadata, vector", (_NUMBERED, [numbers]))
            out.append(self._hits(vector, found))
        return out

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order in which their ids were first written; the cursor is the last row's number."""
        condition, values = where(filter)
        cursor = check_cursor(cursor, r"[0-9]{1,18}")
        after = f"number > ? AND {condition} ORDER BY number LIMIT ?", [int(cursor or 0), *values, limit]
        found = self._read("reading from", f"{_LEAN}, NULL, number", after)
        return Page([_record(row[:5]) for row in found], str(found[-1][5]) if len(found) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        return int(self._read("counting", "count(*)", where(filter))[0][0])

    def flush(self) -> None:
        """Every write is durable before it returns, so there is nothing to do."""

    def _read(self, doing: str, what: str, which: Condition) -> list[Any]:
        condition, values = which
        with self._database.transaction(f"{doing} {self.info.name!r}") as using:
            found: list[Any] = using.execute(f"SELECT {what} FROM {self._rows} WHERE {condition}", values).fetchall()
        return found

    def _hits(self, vector: FloatArray, rows: list[Any]) -> list[Hit]:
        kept = np.array([row[3] for row in rows], np.float64).reshape(len(rows), self.info.dim)
        asked = vector.astype(np.float64)
        scores = -np.linalg.norm(kept - asked, axis=1) if self.info.metric == "euclidean" else kept @ asked
        hits = [
            Hit(row[0], float(score), row[1], load_metadata(row[2])) for row, score in zip(rows, scores, strict=True)
        ]
        return sorted(hits, key=lambda hit: -hit.score)

    def _arrow(self, batch: RecordBatch, numbers: dict[str, int]) -> pa.Table:
        """The rows in the table's order of columns."""
        kept = zip(*(columns(metadata) for metadata in batch.metadata), strict=True)
        strings = pa.list_(pa.string())
        kinds = (strings, strings, pa.list_(pa.float64()), strings)
        return pa.table(
            {
                "number": pa.array([numbers[row_id] for row_id in batch.ids], pa.int64()),
                "id": pa.array(batch.ids, pa.string()),
                "hash": pa.array(batch.hashes, pa.string()),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(batch.vectors.ravel()), self.info.dim),
                "metadata": pa.array(batch.metadata_json(), pa.large_string()),
                "text": pa.array(batch.texts, pa.large_string()),
                **{name: pa.array(one, kind) for name, one, kind in zip(COLUMNS, kept, kinds, strict=True)},
            }
        )


def _table(number: int) -> str:
    return f"embedkit_rows_{number}"


def _record(row: tuple[str, str, str, str, Sequence[float] | None]) -> Record:
    row_id, text, kept, digest, vector = row
    return Record(row_id, text, load_metadata(kept), digest, None if vector is None else np.array(vector, np.float32))
