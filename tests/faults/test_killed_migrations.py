"""kill -9 of a migration at random moments: the name leads to one whole collection, the old model's or the new one's, and never back; and
whoever asks meanwhile is answered by the one model or by the other.

``EMBEDKIT_KILLS`` is how often it is killed.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.testing.tiny import tiny_bundle
from helpers import slow
from helpers.asking import Asker
from helpers.killed import Jobs, rows

KILLS = int(os.environ.get("EMBEDKIT_KILLS", "3"))
STORES = {
    "sqlite-vec": "sqlite_vec",
    "lancedb": "lancedb",
    "qdrant-edge": "qdrant_edge",
    "chroma": "chromadb",
    "duckdb": "duckdb",
    "pgvector": "pgserver",
}
SHARED = ("sqlite-vec", "lancedb", "pgvector")
"""Stores that several processes have open at a time."""


@pytest.fixture
def place(scheme: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A store's address, and what the environment is to have for it."""
    if importlib.util.find_spec(STORES[scheme]) is None:
        pytest.skip(f"{STORES[scheme]} is not installed")
    if scheme != "pgvector":
        yield f"{scheme}:index", {}
        return
    from helpers.postgres import PASSWORD, Postgres

    server = Postgres()
    try:
        yield server.url, {"PGUSER": "postgres", "PGPASSWORD": PASSWORD}
    finally:
        server.stop()


@pytest.mark.parametrize("scheme", slow.but({"sqlite-vec", "chroma"}, STORES))
def test_a_migration_that_is_killed_again_and_again(
    scheme: str,
    place: tuple[str, dict[str, str]],
    bundle: Path,
    tmp_path: Path,
    entry_points: None,
    moments: random.Random,
) -> None:
    url, environment = place
    newer = tiny_bundle(tmp_path / "newer", dim=12, seed=5)
    old, new = (Encoder.load(each, variant="fp32", threads=1).fingerprint for each in (bundle, newer))
    given = {"bundle": str(bundle), "other": str(newer), "url": url}
    jobs, asker = Jobs(tmp_path, environment), None
    try:
        jobs.run(kind="ingest", version=0, **given)
        if scheme in SHARED:
            asker = Asker(tmp_path, environment, **given)
        killed, models = 0, [old]
        for _ in range(KILLS):
            killed += jobs.kill(moments, kind="migrate", version=0, **given)
            jobs.run(kind="whole", version=0, **given)
            models.append((tmp_path / "model").read_text())
            if models[-1] == new:  # done: from here on it goes the other way round
                given |= {"bundle": given["other"], "other": given["bundle"]}
                old, new = new, old
        assert killed > KILLS // 3, "most were to be killed in the middle"
        assert set(models) <= {old, new}
        jobs.run(kind="migrate", version=0, **given)
        jobs.run(kind="whole", version=0, **given)
        models.append((tmp_path / "model").read_text())
        assert models[-1] == new
        assert len(rows(0)) > 200
        if asker is not None:
            told = asker.stop()
            assert told.count(told[0]) > 1, "it was to ask again and again"
            assert changes(told) <= changes(models), "a question was answered by a model that was left"
            assert set(told) <= {old, new}
    finally:
        jobs.close()
        if asker is not None:
            asker.close()


def changes(models: list[str]) -> int:
    """How often the next one is another."""
    return sum(one != other for one, other in itertools.pairwise(models))
