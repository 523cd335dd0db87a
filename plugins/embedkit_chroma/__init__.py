"""Chroma, in a folder of this process or on a server: ``chroma:index``, ``chroma:///abs/path``, ``chroma://host:8000``.

A server behind TLS is ``chroma+https://host``; credentials come from Chroma's own environment variables
(``CHROMA_CLIENT_AUTH_PROVIDER``, ``CHROMA_CLIENT_AUTH_CREDENTIALS``). Importing this module loads no chromadb.
"""

from __future__ import annotations

import os
from dataclasses import replace

from embedkit.stores import (
    METRICS,
    OPS,
    Capabilities,
    MissingExtraError,
    StoreURL,
    StoreURLError,
    VectorStore,
    require_server,
    some_home,
)

__all__ = ["CAPABILITIES", "FOLDER", "PACKAGES", "SERVER", "open_store"]

PACKAGES = ("chromadb",)
FOLDER, SERVER = "chroma:FOLDER", "chroma://HOST:PORT"
_FOLDER = Capabilities(
    max_batch_rows=5461,  # asked for at run time
    multi_process=False,
    filter_ops=OPS - {"not", "exists", "none"},
    orders_text=False,
    metrics=METRICS,
    index=frozenset({"m", "ef", "search"}),
    max_filter_values=10_000,  # of the 32,766 parameters of a statement
    max_comparisons=100,  # each is a level of the 1,000 of an expression, some are several
    max_filter_depth=20,
)
CAPABILITIES = {FOLDER: _FOLDER, SERVER: replace(_FOLDER, multi_process=True, max_batch_bytes=24 << 20)}


def open_store(url: StoreURL) -> VectorStore:
    """Open the folder or server that ``url`` names.

    Raises `MissingExtraError` where chromadb is not installed, and `TransientStoreError` where no server answers.
    """
    try:
        with some_home():
            import chromadb  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("chromadb", "chroma", f"the store {url.text!r}") from error
    from ._store import open_folder, open_server

    if not url.host and not url.transport and url.path:
        return open_folder(os.path.abspath(url.path))  # Chroma keeps clients by the path as given
    if (
        not url.host
        or url.host == ":memory:"
        or url.transport not in ("", "http", "https")
        or url.path not in ("", "/")
    ):
        raise StoreURLError(
            f"store URL {url.text!r}: expected chroma:PATH, chroma:///ABSOLUTE/PATH, chroma://HOST:PORT or chroma+https://HOST:PORT"
        )
    secure = url.transport == "https"
    port = url.port or (443 if secure else 8000)
    require_server(url, port)
    return open_server(url.host, port, secure=secure)
