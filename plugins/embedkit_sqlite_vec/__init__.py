"""One SQLite file, searched with sqlite-vec: ``sqlite-vec:index.db``, ``sqlite-vec:///absolute/path.db``.

Nothing runs beside this process, and several processes may read and write the file at once. A search compares every row
that satisfies the filter, exactly. Importing this module loads no sqlite_vec.
"""

from __future__ import annotations

import os

from embedkit.stores import METRICS, Capabilities, MissingExtraError, StoreURL, StoreURLError, VectorStore

__all__ = ["CAPABILITIES", "FILE", "open_store"]

FILE = "sqlite-vec:FILE"
CAPABILITIES = {
    FILE: Capabilities(
        max_batch_rows=5_000,
        metrics=METRICS,
        indexed=False,
        precisions=frozenset({"float32", "float16", "int8", "binary", "int8+full", "binary+full"}),
        max_filter_values=100_000,
        max_comparisons=1_000,
        max_row_bytes=950_000_000,  # SQLite keeps a row of 1,000,000,000, with its id, its hash and its vectors
    )
}


def open_store(url: StoreURL) -> VectorStore:
    """Open the file that ``url`` names; it and its folder are made where they are missing.

    Raises `MissingExtraError` where sqlite-vec, or an SQLite that loads extensions, is not installed, and `StoreError`
    where the file cannot be used.
    """
    try:
        import sqlite_vec  # noqa: F401

        from . import _database  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "sqlite-vec", "sqlite-vec", f"the store {url.text!r}") from error
    from ._store import SqliteVecStore

    if url.transport or url.host or not url.path:
        raise StoreURLError(f"store URL {url.text!r}: expected sqlite-vec:FILE or sqlite-vec:///ABSOLUTE/FILE")
    return SqliteVecStore(os.path.abspath(url.path))
