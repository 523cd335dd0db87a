"""Stores to measure: their addresses, and the servers that stand behind some of them for the while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))


@contextmanager
def address(name: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A store's URL and the environment that it needs; its files are below ``folder``, a server's in a folder of its own."""
    if name == "pgvector":
        from helpers.postgres import PASSWORD, Postgres

        server = Postgres()
        try:
            yield server.url, {"PGUSER": "postgres", "PGPASSWORD": PASSWORD}
        finally:
            server.stop()
    elif name == "chroma-server":
        from helpers.chroma_server import ChromaServer

        chroma = ChromaServer(folder / "server")
        try:
            yield chroma.url, {}
        finally:
            chroma.stop()
    elif name == "memory":
        yield "memory:rows", {}
    else:
        yield f"{name}://{folder}/{name}", {}
