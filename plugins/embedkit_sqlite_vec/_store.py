"""The store over one SQLite file.

The table ``embedkit_collections`` says what each collection was made for; a collection is a table of rows and one of the
fields that can be filtered on, whose names are made of a number, so that no name of a user is ever part of a statement.
A vector is a blob of numbers (float32, or as many bits as the collection keeps), as sqlite-vec's functions read it, in an ordinary
table: a virtual table of sqlite-vec (vec0) has no inner product, ends a search at 4,096 rows, and keeps the room of deleted ones.
Full vectors beside rounded ones come last in their row: a search reads the rounded ones alone, and the full ones of its candidates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.stores import (
    CollectionInfo,
    CollectionNotFoundError,
    CollectionSpec,
    Filter,
    FloatArray,
    Footprint,
    Hit,
    Page,
    Record,
    RecordBatch,
    WriteResult,
    check_cursor,
    filterable,
    load_metadata,
    packed,
    rounded,
    unpacked,
)

from . import CAPABILITIES, FILE
from ._database import Database
from ._where import Condition, stored, where

_SETUP = (
    "CREATE TABLE IF NOT EXISTS embedkit_collections (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, "
    "dim INTEGER NOT NULL, metric TEXT NOT NULL, fingerprint TEXT NOT NULL)"
)
# Large columns come last: a search reads no more of a row than its vector.
_TABLES = (
    "CREATE TABLE {rows} (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, hash TEXT NOT NULL, vector BLOB NOT NULL, "
    "metadata TEXT NOT NULL, text TEXT NOT NULL, whole BLOB)",
    "CREATE TABLE {fields} (row INTEGER, field TEXT, value, PRIMARY KEY (row, field)) WITHOUT ROWID",
    "CREATE INDEX {fields}_by_value ON {fields} (field, value)",
    "CREATE TRIGGER {rows}_deleted AFTER DELETE ON {rows} BEGIN DELETE FROM {fields} WHERE row = OLD.number; END",
)
_BLOCK = 256  # vectors that stay in the processor's cache while they are compared
_CANDIDATES = {"int8": 4, "binary": 20}
"""How many times as many rows as are wanted are found by rounded vectors, and ranked by full ones."""
_DTYPES = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "binary": np.uint8}
_AMONG = "id IN (SELECT value FROM json_each(?))"


class SqliteVecStore:
    """A `embedkit.stores.contract.VectorStore` over an SQLite file."""

    caps = CAPABILITIES[FILE]

    def __init__(self, path: str) -> None:
        self._database = Database(path, _SETUP)

    def ensure(self, spec: CollectionSpec) -> SqliteVecCollection:
        """Open the collection, or create it."""
        with self._database.transaction(f"creating the collection {spec.name!r}", write=True) as using:
            made = using.execute(
                "INSERT OR IGNORE INTO embedkit_collections (name, dim, metric, fingerprint) VALUES (?, ?, ?, ?)",
                [spec.name, spec.dim, spec.metric, spec.fingerprint],
            )
            if made.rowcount:
                rows, fields = _tables(made.lastrowid)
                for statement in _TABLES:
                    using.execute(statement.format(rows=rows, fields=fields))
        return self.open(spec.name)

    def open(self, name: str) -> SqliteVecCollection:
        """Open the collection."""
        with self._database.transaction(f"opening the collection {name!r}") as using:
            found = using.execute(
                "SELECT number, dim, metric, fingerprint FROM embedkit_collections WHERE name = ?", [name]
            ).fetchone()
        if found is None:
            raise CollectionNotFoundError(f"no collection {name!r}")
        number, dim, metric, fingerprint = found
        return SqliteVecCollection(self._database, number, CollectionInfo(name, dim, metric, fingerprint))

    def names(self) -> list[str]:
        """The collections' names."""
        with self._database.transaction("listing the collections") as using:
            return sorted(name for (name,) in using.execute("SELECT name FROM embedkit_collections"))

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one; what is written next takes its room in the file."""
        with self._database.transaction(f"dropping the collection {name!r}", write=True) as using:
            found = using.execute("SELECT number FROM embedkit_collections WHERE name = ?", [name]).fetchone()
            if found:
                using.execute("DELETE FROM embedkit_collections WHERE number = ?", found)
                for table in _tables(found[0]):
                    using.execute(f"DROP TABLE {table}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class SqliteVecCollection:
    """A `embedkit.stores.contract.Collection` over two tables."""

    def __init__(self, database: Database, number: int, info: CollectionInfo) -> None:
        self.info = info
        self._database = database
        self._rows, self._fields = _tables(number)
        keeping = info.keeping
        self._precision = keeping.base
        self._beside = keeping.full and keeping.base != "float32"
        self._more = ["whole"] if self._beside else []
        self._read_back = "whole" if self._beside else "vector"

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows, all in one transaction."""
        few = packed(batch.vectors, self._precision)
        columns = zip(batch.ids, batch.hashes, few, batch.metadata_json(), batch.texts, strict=True)
        rows = [(row_id, digest, vector.tobytes(), kept, text) for row_id, digest, vector, kept, text in columns]
        wholes = [vector.tobytes() if self._beside else None for vector in batch.vectors]
        with self._database.transaction(f"writing {len(batch)} rows to {self.info.name!r}", write=True) as using:
            using.executemany(
                f"INSERT INTO {self._rows} (id, hash, vector, metadata, text) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO "
                "UPDATE SET hash = excluded.hash, vector = excluded.vector, metadata = excluded.metadata, "
                "text = excluded.text",
                rows,
            )
            if self._beside:
                using.executemany(
                    f"UPDATE {self._rows} SET whole = ? WHERE id = ?", zip(wholes, batch.ids, strict=True)
                )
            numbers = dict(using.execute(f"SELECT id, number FROM {self._rows} WHERE {_AMONG}", [_listed(batch.ids)]))
            using.executemany(f"DELETE FROM {self._fields} WHERE row = ?", [[number] for number in numbers.values()])
            using.executemany(
                f"INSERT INTO {self._fields} (row, field, value) VALUES (?, ?, ?)",
                [
                    (numbers[row_id], field, stored(value))
                    for row_id, metadata in zip(batch.ids, batch.metadata, strict=True)
                    for field, value in filterable(metadata).items()
                ],
            )
        return WriteResult(len(batch))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        vector = self._read_back if with_vectors else "NULL"
        found = self._read("reading from", f"id, text, metadata, hash, {vector}", (_AMONG, [_listed(ids)]))
        return [self._record(row) for row in found]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        return dict(self._read("reading hashes from", "id, hash", (_AMONG, [_listed(ids)])))

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number deleted."""
        condition, values = where(filter, self._fields) if ids is None else (_AMONG, [_listed(ids)])
        with self._database.transaction(f"deleting from {self.info.name!r}", write=True) as using:
            return int(using.execute(f"DELETE FROM {self._rows} WHERE {condition}", values).rowcount)

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows, found by comparing all; their scores are computed in double precision.

        One vector is compared by sqlite-vec, several and those under dot, which it has not, by numpy in one pass.
        """
        condition = where(filter, self._fields)
        candidates = k * _CANDIDATES[self._precision] if self._beside else k
        if len(vectors) == 1 and self.info.metric != "dot" and self._precision != "float16":
            nearest = [self._nearest(vectors, candidates, condition)]
        else:
            nearest = self._nearest_of_each(vectors, candidates, condition)
        listed = json.dumps(sorted({number for numbers in nearest for number in numbers}))
        which = "number IN (SELECT value FROM json_each(?))", [listed]
        rows = {
            row[0]: row[1:] for row in self._read("searching", f"number, id, text, metadata, {self._read_back}", which)
        }
        return [
            self._hits(vector, [rows[number] for number in numbers if number in rows])[:k]
            for vector, numbers in zip(vectors, nearest, strict=True)
        ]

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order in which their ids were first written; the cursor is the last row's number."""
        condition, values = where(filter, self._fields)
        cursor = check_cursor(cursor, r"[0-9]{1,18}")
        after = f"number > ? AND {condition} ORDER BY number LIMIT ?", [int(cursor or 0), *values, limit]
        found = self._read("reading from", "id, text, metadata, hash, NULL, number", after)
        return Page([self._record(row[:5]) for row in found], str(found[-1][5]) if len(found) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        return int(self._read("counting", "count(*)", where(filter, self._fields))[0][0])

    def measured(self) -> Footprint:
        """The bytes of the rows' columns, of which the file's pages are a little more; all rows are compared."""
        each = "+".join(
            f"coalesce(length(CAST({name} AS BLOB)), 0)"
            for name in ("id", "hash", "vector", "metadata", "text", *self._more)
        )
        size = self._read("measuring", f"coalesce(sum({each}), 0)", ("true", []))[0][0]
        return Footprint(int(size), "none: all rows are compared")

    def flush(self) -> None:
        """Every write is durable before it returns, so there is nothing to do."""

    def _read(self, doing: str, columns: str, which: Condition) -> list[Any]:
        condition, values = which
        with self._database.transaction(f"{doing} {self.info.name!r}") as using:
            found: list[Any] = using.execute(f"SELECT {columns} FROM {self._rows} WHERE {condition}", values).fetchall()
        return found

    def _nearest(self, vectors: FloatArray, k: int, which: Condition) -> list[int]:
        # Unit vectors, as under cosine, are ordered by their distance as by their product.
        condition, values = which
        far = {
            "float32": "vec_distance_L2(vector, ?)",
            "int8": "vec_distance_cosine(vec_int8(vector), vec_int8(?))",
            "binary": "vec_distance_hamming(vec_bit(vector), vec_bit(?))",
        }[self._precision]
        asked = packed(vectors, self._precision).tobytes()
        nearest = f"{condition} ORDER BY {far} LIMIT ?", [*values, asked, k]
        return [number for (number,) in self._read("searching", "number", nearest)]

    def _nearest_of_each(self, vectors: FloatArray, k: int, which: Condition) -> list[list[int]]:
        condition, values = which
        if self._beside:
            vectors = rounded(vectors, self._precision)
        numbers: list[int] = []
        scores: list[npt.NDArray[Any]] = []
        with self._database.transaction(f"searching {self.info.name!r}") as using:
            found = using.execute(f"SELECT number, vector FROM {self._rows} WHERE {condition}", values)
            while rows := found.fetchmany(_BLOCK):
                numbers += [row[0] for row in rows]
                scores.append(self._scores(vectors, self._vectors([row[1] for row in rows], self._precision)))
        if not numbers:
            return [[]] * len(vectors)
        best = np.argpartition(-np.concatenate(scores, axis=1), min(k, len(numbers)) - 1, axis=1)[:, :k]
        return [[numbers[i] for i in order] for order in best.tolist()]

    def _hits(self, vector: FloatArray, rows: list[Any]) -> list[Hit]:
        if not rows:
            return []
        kept = self._vectors([row[3] for row in rows], "float32" if self._beside else self._precision)
        (scores,) = self._scores(vector[None].astype(np.float64), kept)
        hits = [
            Hit(row[0], float(score), row[1], load_metadata(row[2])) for row, score in zip(rows, scores, strict=True)
        ]
        return sorted(hits, key=lambda hit: -hit.score)

    def _vectors(self, blobs: list[bytes], precision: str) -> FloatArray:
        """(rows, dim) of blobs in a precision."""
        rows = np.frombuffer(b"".join(blobs), _DTYPES[precision]).reshape(len(blobs), -1)
        return unpacked(rows, precision, self.info.dim)

    def _record(self, row: tuple[str, str, str, str, bytes | None]) -> Record:
        row_id, text, kept, digest, blob = row
        vector = None
        if blob is not None:
            vector = self._vectors([blob], "float32" if self._beside else self._precision)[0]
        return Record(row_id, text, load_metadata(kept), digest, vector)

    def _scores(self, vectors: npt.NDArray[Any], kept: FloatArray) -> npt.NDArray[Any]:
        """Of each of the (n, dim) vectors with each of the (rows, dim), (n, rows), in the vectors' precision."""
        rows = kept.astype(vectors.dtype)
        far = self.info.metric == "euclidean"
        return np.stack([-np.linalg.norm(rows - vector, axis=1) for vector in vectors]) if far else (rows @ vectors.T).T


def _tables(number: int) -> tuple[str, str]:
    return f"embedkit_rows_{number}", f"embedkit_fields_{number}"


def _listed(ids: Iterable[str]) -> str:
    return json.dumps(list(ids), ensure_ascii=False)
