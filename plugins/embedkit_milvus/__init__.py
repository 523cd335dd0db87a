"""Milvus: a folder of this process with milvus-lite ``milvus:index.db`` or ``milvus:///absolute/path``, a server
``milvus://host:19530`` or one of its databases ``milvus://host:19530/database``.

A server behind TLS is ``milvus+https://host:19530``; credentials come from the environment, ``MILVUS_TOKEN`` or
``MILVUS_USER`` and ``MILVUS_PASSWORD``. Importing this module loads no pymilvus.
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

__all__ = ["CAPABILITIES", "FOLDER", "PACKAGES", "SERVER", "open_store"]

PACKAGES = ("pymilvus", "milvus_lite")
FOLDER, SERVER = "milvus:FOLDER", "milvus://HOST:PORT"
_SERVER = Capabilities(
    max_batch_rows=1000,
    max_batch_bytes=24 << 20,  # a server takes requests of 64 MiB
    orders_text=False,
    metrics=METRICS,
    max_dim=32_768,
    sparse=True,
    negative_weights=False,
    max_filter_values=1_000,
    max_comparisons=1_000,
    max_filter_depth=10,
)
CAPABILITIES = {FOLDER: replace(_SERVER, multi_process=False), SERVER: _SERVER}


def open_store(url: StoreURL) -> VectorStore:
    """Open the folder or server that ``url`` names.

    Raises `MissingExtraError` where pymilvus, or for a folder milvus-lite, is not installed, and `TransientStoreError`
    where no server answers.
    """
    folder = not url.host and not url.transport and bool(url.path)
    try:
        import pymilvus  # noqa: F401

        if folder or url.host == ":memory:":
            import milvus_lite  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "pymilvus", "milvus", f"the store {url.text!r}") from error
    if folder:
        from ._lite import open_folder

        return open_folder(os.path.abspath(url.path))
    database = url.path.strip("/")
    if not url.host or url.host == ":memory:" or url.transport not in ("", "http", "https") or "/" in database:
        raise StoreURLError(
            f"store URL {url.text!r}: expected milvus:PATH, milvus:///ABSOLUTE/PATH, milvus://HOST:PORT/DATABASE or "
            "milvus+https://HOST:PORT"
        )
    port = url.port or 19530
    require_server(url, port)
    from ._store import MilvusStore, connect

    host = f"[{url.host}]" if ":" in url.host else url.host
    client = connect(
        f"{url.transport or 'http'}://{host}:{port}",
        db_name=database,
        token=os.environ.get("MILVUS_TOKEN", ""),
        user=os.environ.get("MILVUS_USER", ""),
        password=os.environ.get("MILVUS_PASSWORD", ""),
    )
    return MilvusStore(client, CAPABILITIES[SERVER], "AUTOINDEX", client.close)
