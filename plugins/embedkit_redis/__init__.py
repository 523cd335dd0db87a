"""A Redis server, whose rows are compared exactly: ``redis://host:6379/0``, ``redis+tls://host:6379``; ``valkey://`` for one of Valkey.

It needs no module of the server's, and Redis 6 or newer, or any Valkey. Vectors lie in strings of many rows, which a search reads one by
one and compares here; of what can be filtered on there are sets. A module's index (RediSearch, vector sets) is not used: neither
answers every filter exactly, nor gives vectors back as they were.

User and password come from ``REDIS_USERNAME`` and ``REDIS_PASSWORD``. What is written survives the server's process where it keeps an
append-only file (``appendonly yes``), its machine too with ``appendfsync always``. Importing this module loads no redis.
"""

from __future__ import annotations

import os

from embedkit.stores import (
    METRICS,
    Capabilities,
    MissingExtraError,
    StoreURL,
    StoreURLError,
    VectorStore,
    require_server,
)

__all__ = ["CAPABILITIES", "PACKAGES", "SERVER", "open_store"]

PACKAGES = ("redis",)
SERVER = "redis://HOST:PORT/DATABASE"
CAPABILITIES = {
    SERVER: Capabilities(
        max_batch_rows=1_000,
        max_batch_bytes=32 << 20,
        orders_text=False,
        orders_integers=False,
        metrics=METRICS,
        indexed=False,
        precisions=frozenset({"float32", "float16", "int8", "binary"}),
        max_filter_values=10_000,
        max_comparisons=1_000,
        max_filter_depth=100,
        max_row_bytes=400_000_000,  # a string has at most 512 MiB
    )
}


def open_store(url: StoreURL) -> VectorStore:
    """Connect to the server that ``url`` names.

    Raises `MissingExtraError` where redis-py is not installed, `TransientStoreError` where no server answers, and `StoreError` where it
    refuses, is too old, or throws rows away when its memory is full.
    """
    try:
        import redis  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("redis", "redis", f"the store {url.text!r}") from error
    from ._store import RedisStore

    database = url.path.strip("/") or "0"
    if not url.host or url.host == ":memory:" or url.transport not in ("", "tls") or not database.isdecimal():
        raise StoreURLError(
            f"store URL {url.text!r}: expected {url.scheme}://HOST:PORT/DATABASE, or {url.scheme}+tls://HOST:PORT/DATABASE, of which the "
            "database is a number"
        )
    require_server(url, 6379)
    given = {name: os.environ.get(f"{url.scheme.upper()}_{name.upper()}") or None for name in ("username", "password")}
    return RedisStore(
        f"{url.scheme}://{url.host}:{url.port or 6379}/{database}",
        {"host": url.host, "port": url.port or 6379, "db": int(database), "ssl": url.transport == "tls", **given},
    )
