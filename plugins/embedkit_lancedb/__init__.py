"""LanceDB, in a folder of this process: ``lancedb:index`` or ``lancedb:///abs/path``.

Several processes may read and write one folder. Importing this module loads no lancedb.
"""

from __future__ import annotations

import os

from embedkit.stores import METRICS, Capabilities, MissingExtraError, StoreURL, StoreURLError, VectorStore

__all__ = ["CAPABILITIES", "FOLDER", "PACKAGES", "open_store"]

PACKAGES = ("lancedb",)
FOLDER = "lancedb:FOLDER"
CAPABILITIES = {
    FOLDER: Capabilities(
        max_batch_rows=10_000,
        orders_integers=False,
        metrics=METRICS,
        multivector=True,
        precisions=frozenset({"float32", "float16", "binary", "int8+full", "binary+full"}),
        index=frozenset({"lists", "probes"}),
        max_filter_values=20_000,
        max_comparisons=1_000,
        max_filter_depth=10,
    )
}


def open_store(url: StoreURL) -> VectorStore:
    """Open the folder that ``url`` names, which is made if it is not there.

    Raises `MissingExtraError` where lancedb is not installed.
    """
    from ._memory import bound_memory

    bound_memory()
    try:
        import lancedb  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("lancedb", "lancedb", f"the store {url.text!r}") from error
    from ._store import LancedbStore

    if url.host or url.transport or not url.path:
        raise StoreURLError(f"store URL {url.text!r}: expected lancedb:PATH or lancedb:///ABSOLUTE/PATH")
    return LancedbStore(os.path.abspath(url.path))
