"""Every store answers as a dictionary does, whatever is done with it.

``EMBEDKIT_SEQUENCES`` is the number of sequences for each store, from ``EMBEDKIT_SEED`` on; some of their operations are another
process's where there are more than two.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedkit.testing.samples import fresh_name
from helpers.differential.running import Place

SEQUENCES = int(os.environ.get("EMBEDKIT_SEQUENCES", "2"))
OPERATIONS = 60
STORES = {
    "memory": "embedkit",
    "chroma": "chromadb",
    "lancedb": "lancedb",
    "milvus": "milvus_lite",
    "pgvector": "pgserver",
    "qdrant": "qdrant_client",
    "qdrant-edge": "qdrant_edge",
    "sqlite-vec": "sqlite_vec",
}


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    name = request.param
    if importlib.util.find_spec(STORES[name]) is None:
        pytest.skip(f"{STORES[name]} is not installed")
    server = None
    url = f"memory:{fresh_name('fuzzed')}" if name == "memory" else f"{name}:{tmp_path}/index"
    if name == "pgvector":
        from helpers.postgres import PASSWORD, Postgres

        monkeypatch.setenv("PGUSER", "postgres")
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        server = Postgres()
        url = server.url
    found = Place(url)
    yield found
    found.close()
    if server:
        server.stop()


def test_a_store_answers_as_a_dictionary_does(place: Place, entry_points: None) -> None:
    first = int(os.environ.get("EMBEDKIT_SEED", "0"))
    elsewhere = SEQUENCES > 2 and not place.url.startswith("memory:")
    if report := place.search(range(first, first + SEQUENCES), OPERATIONS, elsewhere=elsewhere):
        pytest.fail(report, pytrace=False)
