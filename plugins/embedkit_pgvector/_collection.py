"""A collection as a table.

A batch goes through a binary COPY into a temporary table and is merged from there, in one transaction. What can be filtered
on is one jsonb column, with a GIN index for equality. The vector index (HNSW) is built by the first
`PgvectorCollection.flush` of a collection that is large enough to need one, since rows are written several times faster
without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from pgvector import Bit, HalfVector, SparseVector
from psycopg import sql

from embedkit.stores import (
    INDEXED_FROM,
    CollectionInfo,
    Filter,
    FloatArray,
    Footprint,
    Hit,
    Metadata,
    MultiVectors,
    Page,
    Record,
    RecordBatch,
    SparseVectors,
    WriteResult,
    filterable,
    load_metadata,
    unpacked,
)

from ._connection import LOCK, Database
from ._index import build, graph_bytes
from ._where import escape, restore, where

INDEX_FROM_ROWS = 10_000
"""Rows from which a collection gets a vector index; fewer are searched one by one, exactly."""

_INDEXED_DIM, _INDEXED_HALF = 2_000, 4_000
_INDEXED_BITS = 64_000
_CANDIDATES, _CANDIDATES_OF_BITS = 4, 20
"""How many times as many rows as are wanted are found by rounded vectors, and ranked by full ones."""
_EDGES, _IN_VIEW = 16, 64
"""The m and ef_construction of an index that is told nothing else; the second is at least twice the first."""
_LEAST_EF, _MOST_EF = 400, 1_000
"""Rows of an index that a search keeps in view: pgvector takes at most 1,000."""
_ONE_ROUND, _MOST_APPROXIMATE = 100, 2_000
"""Up to so many hits are found in one round over the index, with .99 of the nearest of 12,000 clustered vectors among them; up to
so many in several rounds, with as much; more by comparing all rows."""
_COLUMNS = {"id": "text", "text": "text", "metadata": "text", "fields": "jsonb", "hash": "text"}
_MAXSIM = (
    "(SELECT sum(best) FROM (SELECT max(-(mine <#> yours)) AS best FROM unnest(several) AS mine, "
    "unnest(%s::vector[]) WITH ORDINALITY AS asked(yours, place) GROUP BY place) AS found)"
)
"""The sum over the question's vectors of the greatest product with one of the row's."""


class PgvectorCollection:
    """A `embedkit.stores.contract.Collection` over a table."""

    def __init__(self, database: Database, number: int, info: CollectionInfo) -> None:
        self.info = info
        self._database, self._number, self._table = database, number, table_of(number)
        self._near = _Nearness(info)
        kept = {"vector": info.dim, "sparse": info.sparse, "several": info.multivector}
        self._vectors = [name for name, size in kept.items() if size]
        self._columns = [*_COLUMNS, *self._vectors]

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows, all in one transaction."""
        incoming = sql.Identifier(f"embedkit_incoming_{self._number}")
        names = [sql.Identifier(name) for name in self._columns]
        columns = sql.SQL(", ").join(names)
        changes = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in names[1:])
        types = {"vector": self._near.type, "sparse": "sparsevec", "several": "vector[]"}
        with self._database.transaction(f"writing {len(batch)} rows to {self.info.name!r}") as cursor:
            cursor.execute(
                sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
                    incoming, self._table
                )
            )
            with cursor.copy(
                sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
                    sql.SQL("pg_temp.{}").format(incoming), columns
                )
            ) as copy:
                copy.set_types([*_COLUMNS.values(), *(types[name] for name in self._vectors)])
                dumped = batch.metadata_json()
                for i, row_id in enumerate(batch.ids):
                    metadata = batch.metadata[i]
                    fields = _escaped(filterable(metadata))
                    text, kept = escape(batch.texts[i]), dumped[i]
                    copy.write_row([row_id, text, kept, fields, batch.hashes[i], *_kept_vectors(batch, i, self._near)])
            # In the order of ids, so that two writers of the same rows wait for each other instead of both for ever.
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {} ({}) SELECT {} FROM pg_temp.{} ORDER BY id ON CONFLICT (id) DO UPDATE SET {}"
                ).format(self._table, columns, columns, incoming, changes)
            )
        return WriteResult(len(batch))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        return self._records(sql.SQL("id = ANY(%s)"), [list(ids)], with_vectors=with_vectors)

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        with self._database.transaction(f"reading hashes from {self.info.name!r}") as cursor:
            cursor.execute(sql.SQL("SELECT id, hash FROM {} WHERE id = ANY(%s)").format(self._table), [list(ids)])
            return dict(cursor.fetchall())

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number deleted."""
        condition, values = where(filter) if ids is None else (sql.SQL("id = ANY(%s)"), [list(ids)])
        with self._database.transaction(f"deleting from {self.info.name!r}") as cursor:
            cursor.execute(sql.SQL("DELETE FROM {} WHERE {}").format(self._table, condition), values)
            return int(cursor.rowcount)

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows by minus the inner product, or by distance.

        With an index more candidates are looked at than are asked for, since it is approximate, and the search goes on until
        enough of them satisfy the filter; where it ends before (the index gives up after so many rows), and where ``k`` is large,
        all rows are compared instead.
        """
        condition, values = where(filter)
        near = self._near
        parts = {"by": near.by, "table": self._table, "rows": condition}
        exact = sql.SQL(
            "SELECT id, text, metadata, -(vector {by} %s) AS score FROM {table} WHERE {rows} ORDER BY vector {by} %s LIMIT %s"
        ).format(**parts)
        approximate = sql.SQL(
            "SELECT id, text, metadata, -(vector {by} %s) AS score FROM (SELECT * FROM {table} WHERE {rows} ORDER BY {key} LIMIT %s) "
            "AS near ORDER BY score DESC LIMIT %s"
        ).format(key=near.key, **parts)
        candidates = near.candidates * k
        if k > _ONE_ROUND:
            candidates = max(candidates, 2 * k, _MOST_EF + 1)
        out = []
        with self._database.transaction(f"searching {self.info.name!r}") as cursor:
            cursor.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
            effort = sql.Literal(min(_MOST_EF, max(self.info.keeping.setting("search", _LEAST_EF), 8 * k, candidates)))
            cursor.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(effort))
            indexed = k <= _MOST_APPROXIMATE and self._index_exists(cursor)
            for vector in map(near.asked, vectors):
                rows: list[Any] = []
                if indexed:
                    rows = cursor.execute(approximate, [vector, *values, vector, candidates, k]).fetchall()
                if len(rows) < k:
                    cursor.execute("SET LOCAL enable_indexscan = off")
                    rows = cursor.execute(exact, [vector, *values, vector, k]).fetchall()
                    cursor.execute("SET LOCAL enable_indexscan = on")
                hits = [(row[0], near.score(float(row[3])), restore(row[1]), load_metadata(row[2])) for row in rows]
                out.append([Hit(*row) for row in hits])
        return out

    def query_sparse(self, vectors: SparseVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest dot product other than 0; all rows are compared."""
        asked = [_sparse(vectors, i) for i in range(len(vectors))]
        return self._compared("-(sparse <#> %s)", asked, k, filter, other_than_zero=True)

    def query_multivector(self, vectors: MultiVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest MaxSim; all rows are compared."""
        return self._compared(_MAXSIM, [list(several) for several in vectors], k, filter)

    def _compared(
        self, score: str, asked: Sequence[Any], k: int, filter: Filter | None, *, other_than_zero: bool = False
    ) -> list[list[Hit]]:
        condition, values = where(filter)
        statement = sql.SQL(
            "SELECT * FROM (SELECT id, text, metadata, {} AS score FROM {} WHERE {}) AS compared {} ORDER BY score DESC, id LIMIT %s"
        ).format(
            sql.SQL(score),
            self._table,
            condition,
            sql.SQL("WHERE score <> 0" if other_than_zero else ""),
        )
        out = []
        with self._database.transaction(f"searching {self.info.name!r}") as cursor:
            for one in asked:
                rows = cursor.execute(statement, [one, *values, k]).fetchall()
                out.append([Hit(row[0], float(row[3]), restore(row[1]), load_metadata(row[2])) for row in rows])
        return out

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their ids, by code point; the cursor is the last id."""
        condition, values = where(filter)
        if cursor is not None:
            condition, values = sql.SQL("{} AND id > %s").format(condition), [*values, cursor]
        records = self._records(sql.SQL("{} ORDER BY id LIMIT %s").format(condition), [*values, limit])
        return Page(records, records[-1].id if len(records) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        condition, values = where(filter)
        with self._database.transaction(f"counting {self.info.name!r}") as cursor:
            cursor.execute(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(self._table, condition), values)
            return int(cursor.fetchall()[0][0])

    def flush(self) -> None:
        """Build the vector index where the collection has become large enough and can have one: at most 4,000
        dimensions, above 2,000 over the vectors rounded to half precision. Every write is durable before it returns."""
        if not 0 < self.info.dim <= self._near.most:
            return
        with self._database.transaction(f"indexing {self.info.name!r}", patient=True) as cursor:
            few = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT %s) AS first").format(self._table)
            least = INDEXED_FROM if self.info.keeping.wants_index else INDEX_FROM_ROWS
            if cursor.execute(few, [least]).fetchall()[0][0] < least or self._index_exists(cursor):
                return
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            kept = self.info.keeping
            edges = kept.setting("m", _EDGES)
            built_with = {"m": edges, "ef_construction": kept.setting("ef", max(_IN_VIEW, 2 * edges))}
            listed = sql.SQL(", ").join(
                sql.SQL(f"{name} = {{}}").format(sql.Literal(value)) for name, value in built_with.items()
            )
            statement = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw ({}) WITH ({})").format(
                sql.Identifier(self._index),
                self._table,
                self._near.indexed,
                listed,
            )
            rows = cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(self._table)).fetchall()[0][0]
            build(cursor, statement, graph_bytes(rows, self._near.bytes, edges))

    def measured(self) -> Footprint:
        """What PostgreSQL keeps of the table, its indexes included."""
        with self._database.transaction(f"measuring {self.info.name!r}") as cursor:
            size = cursor.execute(
                "SELECT pg_total_relation_size(%s::regclass)", [f"embedkit.rows_{self._number}"]
            ).fetchall()
            indexed = self._index_exists(cursor)
        return Footprint(int(size[0][0]), "HNSW" if indexed else "none yet: all rows are compared")

    @property
    def _index(self) -> str:
        return f"rows_{self._number}_nearest"

    def _index_exists(self, cursor: psycopg.Cursor[Any]) -> bool:
        return bool(cursor.execute("SELECT to_regclass(%s)", [f"embedkit.{self._index}"]).fetchall()[0][0])

    def _records(self, condition: sql.Composable, values: list[Any], *, with_vectors: bool = False) -> list[Record]:
        vectors = self._vectors if with_vectors else []
        columns = sql.SQL(", ").join(map(sql.Identifier, ["id", "text", "metadata", "hash", *vectors]))
        statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(columns, self._table, condition)
        with self._database.transaction(f"reading from {self.info.name!r}") as cursor:
            rows = cursor.execute(statement, values).fetchall()
        return [
            self._record(row_id, text, kept, digest, dict(zip(vectors, found, strict=True)))
            for row_id, text, kept, digest, *found in rows
        ]

    def _record(self, row_id: str, text: str, kept: str, digest: str, found: dict[str, Any]) -> Record:
        sparse, several = found.get("sparse"), found.get("several")
        return Record(
            row_id,
            restore(text),
            load_metadata(kept),
            digest,
            self._near.restored(found["vector"]) if "vector" in found else None,
            None if sparse is None else SparseVectors.of_rows([(sparse.indices(), sparse.values())], self.info.sparse),
            None if several is None else np.stack([_array(vector) for vector in several]),
        )


class _Nearness:
    """How the column of dense vectors is filled, compared and indexed."""

    def __init__(self, info: CollectionInfo) -> None:
        self._dim, self._bits = info.dim, info.keeping.precision == "binary"
        self.type = {"binary": "bit", "float16": "halfvec"}.get(info.keeping.precision, "vector")
        far, dim = info.metric == "euclidean", sql.Literal(info.dim)
        kind = "l2" if far else "ip"
        self.by = sql.SQL("<~>" if self._bits else "<->" if far else "<#>")
        self.key: sql.Composable = sql.SQL("vector {} %s").format(self.by)
        self.indexed: sql.Composable = sql.SQL(f"vector {self.type}_{kind}_ops")
        self.candidates, self.most = 1, _INDEXED_HALF
        self.bytes = self._dim * (2 if self.type == "halfvec" or self._dim > _INDEXED_DIM else 4)
        """Of a vector in the index."""
        if self._bits:
            self.indexed, self.most = sql.SQL("vector bit_hamming_ops"), _INDEXED_BITS
            self.bytes = -(-self._dim // 8)
        elif info.keeping.precision == "binary+full":
            self.bytes = -(-self._dim // 8)
            self.key = sql.SQL("binary_quantize(vector)::bit({0}) <~> binary_quantize(%s::vector)::bit({0})").format(
                dim
            )
            self.indexed = sql.SQL("(binary_quantize(vector)::bit({})) bit_hamming_ops").format(dim)
            self.candidates, self.most = _CANDIDATES_OF_BITS, _INDEXED_BITS
        elif self.type == "vector" and info.dim > _INDEXED_DIM:
            self.key = sql.SQL("vector::halfvec({0}) {1} %s::halfvec({0})").format(dim, self.by)
            self.indexed = sql.SQL(f"(vector::halfvec({{}})) halfvec_{kind}_ops").format(dim)
            self.candidates = _CANDIDATES

    def asked(self, vector: FloatArray) -> Any:
        """A (dim,) vector as PostgreSQL takes it."""
        if self._bits:
            return Bit(vector > 0)
        return HalfVector(vector) if self.type == "halfvec" else vector

    def score(self, found: float) -> float:
        """The score of a row by minus its distance: of bits those that differ."""
        return 1.0 + 2.0 * found / self._dim if self._bits else found

    def restored(self, found: Any) -> FloatArray:
        """The (dim,) vector of a row."""
        if self._bits:
            bits = np.packbits(Bit.from_binary(found).to_numpy())[None]
            return np.asarray(unpacked(bits, "binary", self._dim)[0])
        return _array(found)


def table_of(number: int) -> sql.Identifier:
    """The table of rows of the collection with this number."""
    return sql.Identifier("embedkit", f"rows_{number}")


def _kept_vectors(batch: RecordBatch, row: int, near: _Nearness) -> list[Any]:
    """The vectors of a row that its table has columns for."""
    out: list[Any] = [near.asked(batch.vectors[row])] if batch.vectors.shape[1] else []
    if batch.sparse is not None:
        out.append(_sparse(batch.sparse, row))
    if batch.multivectors is not None:
        out.append(list(batch.multivectors[row]))
    return out


def _sparse(vectors: SparseVectors, row: int) -> SparseVector:
    indices, values = vectors[row]
    return SparseVector(dict(zip(indices.tolist(), values.tolist(), strict=True)), vectors.dim)


def _array(found: Any) -> FloatArray:
    return np.asarray(found if isinstance(found, np.ndarray) else found.to_numpy(), dtype=np.float32)


def _escaped(fields: Metadata) -> Metadata:
    return {escape(key): escape(value) if isinstance(value, str) else value for key, value in fields.items()}
