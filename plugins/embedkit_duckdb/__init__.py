"""One DuckDB file, whose rows are compared exactly: ``duckdb:index.duckdb``, ``duckdb:///absolute/path.duckdb``.

DuckDB's extension vss has an index of vectors, which is not used: it is experimental on disk, lies wholly in memory, answers
no search with a filter, and leaves a file that no DuckDB without it can write. DuckDB's own functions compare all rows on all cores.
Importing this module loads no duckdb.
"""

from __future__ import annotations

import os

from embedkit.stores import METRICS, Capabilities, MissingExtraError, StoreURL, StoreURLError, VectorStore

__all__ = ["CAPABILITIES", "FILE", "PACKAGES", "open_store"]

PACKAGES = ("duckdb", "pyarrow")
FILE = "duckdb:FILE"
CAPABILITIES = {
    FILE: Capabilities(
        max_batch_rows=10_000,
        multi_process=False,
        orders_integers=False,
        metrics=METRICS,
        max_comparisons=1_000,
        max_filter_depth=100,
        indexed=False,
    )
}


def open_store(url: StoreURL) -> VectorStore:
    """Open the file that ``url`` names; it and its folder are made where they are missing.

    Raises `MissingExtraError` where DuckDB or pyarrow is not installed, and `StoreError` where the file cannot be used.
    """
    try:
        import duckdb  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "duckdb", "duckdb", f"the store {url.text!r}") from error
    from ._store import DuckdbStore

    if url.transport or url.host or not url.path:
        raise StoreURLError(f"store URL {url.text!r}: expected duckdb:FILE or duckdb:///ABSOLUTE/FILE")
    return DuckdbStore(os.path.abspath(url.path))
