"""Qdrant Edge, Qdrant's engine in this process: ``qdrant-edge:index`` or ``qdrant-edge:///abs/path``.

Importing this module loads no qdrant_edge.
"""

from __future__ import annotations

import os

from embedkit.stores import METRICS, Capabilities, MissingExtraError, StoreURL, StoreURLError, VectorStore

__all__ = ["CAPABILITIES", "FOLDER", "PACKAGES", "open_store"]

PACKAGES = ("qdrant_edge",)
FOLDER = "qdrant-edge:FOLDER"
CAPABILITIES = {
    FOLDER: Capabilities(
        max_batch_rows=1000,
        multi_process=False,
        orders_text=False,
        orders_integers=False,
        metrics=METRICS,
        sparse=True,
        multivector=True,
        precisions=frozenset({"float32", "float16", "int8+full", "binary+full"}),
        index=frozenset({"m", "ef", "search"}),
    )
}


def open_store(url: StoreURL) -> VectorStore:
    """Open the folder that ``url`` names, which is made if it is not there.

    Raises `MissingExtraError` where qdrant-edge-py is not installed.
    """
    try:
        import qdrant_edge  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("qdrant-edge-py", "qdrant-edge", f"the store {url.text!r}") from error
    from ._store import EdgeStore

    if url.host or url.transport or not url.path:
        raise StoreURLError(f"store URL {url.text!r}: expected qdrant-edge:PATH or qdrant-edge:///ABSOLUTE/PATH")
    return EdgeStore(os.path.abspath(url.path))
