"""Qdrant: ``qdrant://:memory:``, a folder ``qdrant:index`` or ``qdrant:///abs/path``, a server ``qdrant://host:6333``, or
``qdrant+grpc://host:6334``.

A server behind TLS is ``qdrant+https://host:6333`` or ``qdrant+grpcs://host:6334``; its API key comes from the environment
variable ``QDRANT_API_KEY``. A server must be of version 1.16 or newer. Importing this module loads no qdrant_client.
"""

from __future__ import annotations

import os
from dataclasses import replace

from embedkit.stores import (
    METRICS,
    Capabilities,
    MissingExtraError,
    StoreURL,
    StoreURLError,
    VectorStore,
    require_server,
)

__all__ = ["CAPABILITIES", "FOLDER", "GRPC", "PACKAGES", "SERVER", "open_store"]

PACKAGES = ("qdrant_client",)
FOLDER, SERVER, GRPC = "qdrant:FOLDER", "qdrant://HOST:PORT", "qdrant+grpc://HOST:PORT"
_SERVER = Capabilities(
    max_batch_rows=256,
    max_batch_bytes=24 << 20,  # a server takes requests of 32 MiB
    orders_text=False,
    orders_integers=False,
    metrics=METRICS,
    sparse=True,
    multivector=True,
    precisions=frozenset({"float32", "float16", "int8+full", "binary+full"}),
    index=frozenset({"m", "ef", "search"}),
    max_filter_depth=20,  # its JSON has at most 128 levels, several for one of a filter
)
CAPABILITIES = {
    FOLDER: replace(
        _SERVER,
        max_batch_bytes=None,
        thread_safe=False,
        multi_process=False,
        indexed=False,
        precisions=frozenset({"float32"}),  # the engine's stand-in in Python rounds nothing
        index=frozenset(),
    ),
    SERVER: _SERVER,
    GRPC: _SERVER,
}


def open_store(url: StoreURL) -> VectorStore:
    """Open the folder or server that ``url`` names.

    Raises `MissingExtraError` where qdrant-client is not installed, and `TransientStoreError` where no server answers.
    """
    try:
        import qdrant_client  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("qdrant-client", "qdrant", f"the store {url.text!r}") from error
    from ._store import open_folder, open_grpc, open_server

    if not url.transport and (url.host == ":memory:" or (not url.host and url.path)):
        return open_folder(os.path.abspath(url.path) if url.path else None)
    if not url.host or url.host == ":memory:" or url.transport not in ("", "http", "https", "grpc", "grpcs"):
        raise StoreURLError(
            f"store URL {url.text!r}: expected qdrant://:memory:, qdrant:PATH, qdrant:///ABSOLUTE/PATH, "
            "qdrant://HOST:PORT, qdrant+https://HOST:PORT, qdrant+grpc://HOST:PORT or qdrant+grpcs://HOST:PORT"
        )
    grpc = url.transport in ("grpc", "grpcs")
    port = url.port or (6334 if grpc else 6333)
    require_server(url, port)
    host = f"[{url.host}]" if ":" in url.host else url.host
    if grpc:
        return open_grpc(host, port, secure=url.transport == "grpcs", api_key=os.environ.get("QDRANT_API_KEY") or None)
    return open_server(
        f"{url.transport or 'http'}://{host}:{port}{url.path.rstrip('/')}",
        api_key=os.environ.get("QDRANT_API_KEY") or None,
    )
