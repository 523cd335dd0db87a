"""PostgreSQL with the extension pgvector: ``pgvector://host:5432/database``, or ``pgvector:`` for what libpq's own
environment variables say.

User, password and TLS come from libpq (``PGUSER``, ``PGPASSWORD``, ``PGSSLMODE``, a password or service file, a socket's
folder in ``PGHOST``). Importing this module loads no psycopg.
"""

from __future__ import annotations

from embedkit.stores import METRICS, Capabilities, MissingExtraError, StoreURL, StoreURLError, VectorStore

__all__ = ["CAPABILITIES", "PACKAGES", "SERVER", "open_store"]

PACKAGES = ("pgvector", "psycopg")
SERVER = "pgvector://HOST:PORT/DATABASE"
CAPABILITIES = {
    SERVER: Capabilities(
        max_batch_rows=5_000,
        metrics=METRICS,
        max_dim=16_000,
        sparse=True,
        max_weights=16_000,
        multivector=True,
        precisions=frozenset({"float32", "float16", "binary", "binary+full"}),
        index=frozenset({"m", "ef", "search"}),
        max_comparisons=10_000,  # a statement has at most 65,535 parameters
        max_id_bytes=2_600,  # the key of an index has at most 2,704
        max_row_bytes=500_000_000,  # a string of jsonb has at most 268,435,455
    )
}


def open_store(url: StoreURL) -> VectorStore:
    """Connect to the database that ``url`` names, and make the schema ``embedkit`` and the extension where they are
    missing.

    Raises `MissingExtraError` where psycopg or pgvector's Python package is not installed, `TransientStoreError` where
    no server answers, and `StoreError` where it refuses.
    """
    try:
        import pgvector  # noqa: F401
        import psycopg  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "psycopg", "pgvector", f"the store {url.text!r}") from error
    from ._store import PgvectorStore

    database = url.path.strip("/")
    if url.transport or url.host == ":memory:" or "/" in database:
        raise StoreURLError(
            f"store URL {url.text!r}: expected pgvector://HOST:PORT/DATABASE, or pgvector: with PGHOST and PGDATABASE set"
        )

    given = {"host": url.host, "port": url.port, "dbname": database}
    return PgvectorStore({name: value for name, value in given.items() if value})
