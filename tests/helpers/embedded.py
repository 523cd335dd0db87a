"""The stores that need no server that is there already, each at an address of its own."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from embedkit.testing.samples import fresh_name

STORES = {
    "memory": "embedkit",
    "chroma": "chromadb",
    "duckdb": "duckdb",
    "lancedb": "lancedb",
    "milvus": "milvus_lite",
    "opensearch": "opensearchpy",
    "pgvector": "pgserver",
    "qdrant": "qdrant_client",
    "qdrant-edge": "qdrant_edge",
    "redis": "redis",
    "sqlite-vec": "sqlite_vec",
}
"""What each needs to be installed."""


@contextmanager
def address(name: str, folder: Path) -> Iterator[str]:
    """The URL of an empty store; the test is skipped where it is not installed."""
    if importlib.util.find_spec(STORES[name]) is None:
        pytest.skip(f"{STORES[name]} is not installed")
    if name == "redis":
        from helpers.redis_server import RedisServer

        own = RedisServer()
        try:
            yield own.url
        finally:
            own.stop()
        return
    if name == "opensearch":
        from helpers.opensearch_stand_in import stand_in

        with stand_in() as (_, url):
            yield url
        return
    if name != "pgvector":
        yield f"memory:{fresh_name('embedded')}" if name == "memory" else f"{name}:{folder}/index"
        return
    from helpers.postgres import PASSWORD, Postgres

    with mock.patch.dict(os.environ, {"PGUSER": "postgres", "PGPASSWORD": PASSWORD}):
        server = Postgres()
        try:
            yield server.url
        finally:
            server.stop()
