"""The store over a PostgreSQL connection.

All is kept in the schema ``embedkit``: the table ``collections``, and a table of rows for each collection, whose name
is made of a number, so that no name of a user is ever part of a statement.
"""

from __future__ import annotations

from typing import Any

from psycopg import sql

from embedkit.stores import CollectionInfo, CollectionNotFoundError, CollectionSpec

from . import CAPABILITIES, SERVER
from ._collection import PgvectorCollection, table_of
from ._connection import LOCK, Database
from ._where import escape, restore

_TYPES = {"float32": "vector({})", "float16": "halfvec({})", "binary": "bit({})", "binary+full": "vector({})"}


class PgvectorStore:
    """A `embedkit.stores.contract.VectorStore` over a PostgreSQL connection, which is made again after it broke."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.caps = CAPABILITIES[SERVER]
        self._database = Database(options)

    def ensure(self, spec: CollectionSpec) -> PgvectorCollection:
        """Open the collection, or create it."""
        with self._database.transaction(f"creating the collection {spec.name!r}") as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            cursor.execute(
                "INSERT INTO embedkit.collections (name, dim, metric, fingerprint, sparse, multivector) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING number",
                [
                    escape(spec.name),
                    spec.dim,
                    spec.metric,
                    escape(spec.fingerprint),
                    spec.sparse,
                    spec.multivector,
                ],
            )
            if made := cursor.fetchone():
                table = table_of(made[0])
                cursor.execute(
                    sql.SQL(
                        'CREATE TABLE {} (id text COLLATE "C" PRIMARY KEY, text text NOT NULL, metadata text NOT NULL, '
                        "fields jsonb NOT NULL, hash text NOT NULL)"
                    ).format(table)
                )
                for column, kind, size in (
                    ("vector", _TYPES[spec.keeping.precision], spec.dim),
                    ("sparse", "sparsevec({})", spec.sparse),
                    ("several", "vector({})[]", spec.multivector),
                ):
                    if size:  # numbers do not compress
                        added = sql.SQL(f"ALTER TABLE {{}} ADD {column} {kind} NOT NULL").format(
                            table, sql.Literal(size)
                        )
                        cursor.execute(added)
                        cursor.execute(sql.SQL(f"ALTER TABLE {{}} ALTER {column} SET STORAGE EXTERNAL").format(table))
                # Equality of fields is looked up by their hashes.
                cursor.execute(sql.SQL("CREATE INDEX ON {} USING gin (fields jsonb_path_ops)").format(table))
        return self.open(spec.name)

    def open(self, name: str) -> PgvectorCollection:
        """Open the collection."""
        with self._database.transaction(f"opening the collection {name!r}") as cursor:
            cursor.execute(
                "SELECT number, dim, metric, fingerprint, sparse, multivector FROM embedkit.collections WHERE name = %s",
                [escape(name)],
            )
            found = cursor.fetchone()
        if found is None:
            raise CollectionNotFoundError(f"no collection {name!r}")
        number, dim, metric, fingerprint, *others = found
        return PgvectorCollection(
            self._database, number, CollectionInfo(name, dim, metric, restore(fingerprint), *others)
        )

    def names(self) -> list[str]:
        """The collections' names."""
        with self._database.transaction("listing the collections") as cursor:
            cursor.execute("SELECT name FROM embedkit.collections")
            return sorted(restore(name) for (name,) in cursor)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        with self._database.transaction(f"dropping the collection {name!r}") as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            cursor.execute("DELETE FROM embedkit.collections WHERE name = %s RETURNING number", [escape(name)])
            if found := cursor.fetchone():
                cursor.execute(sql.SQL("DROP TABLE {}").format(table_of(found[0])))

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
