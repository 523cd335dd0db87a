"""kill -9 of every kind of job at random moments: run again, it ends with the source's rows, of which a search finds each.

``EMBEDKIT_KILLS`` is how often each is killed.
"""

from __future__ import annotations

import importlib.util
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import slow
from helpers.killed import Jobs, letters, rows

KILLS = int(os.environ.get("EMBEDKIT_KILLS", "2"))
STORES = {
    "chroma": "chromadb",
    "pgvector": "pgserver",
    "duckdb": "duckdb",
    "lancedb": "lancedb",
    "sqlite-vec": "sqlite_vec",
}


@pytest.fixture(params=slow.but(["chroma", "pgvector"], STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path, entry_points: None) -> Iterator[tuple[Jobs, str]]:
    if importlib.util.find_spec(STORES[request.param]) is None:
        pytest.skip(f"{STORES[request.param]} is not installed")
    server, url, environment = None, f"{request.param}:index", {}
    if request.param == "pgvector":
        from helpers.postgres import PASSWORD, Postgres

        server = Postgres()
        url, environment = server.url, {"PGUSER": "postgres", "PGPASSWORD": PASSWORD}
    jobs = Jobs(tmp_path, environment)
    try:
        yield jobs, url
    finally:
        jobs.close()
        if server:
            server.stop()


@pytest.mark.parametrize("kind", slow.but(["repair"], ["ingest", "sync", "copy", "retry", "repair"]))
def test_a_job_that_is_killed_again_and_again(
    kind: str, place: tuple[Jobs, str], bundle: Path, tmp_path: Path, moments: random.Random
) -> None:
    jobs, url = place
    given = {"bundle": str(bundle), "url": url, "other": "sqlite-vec:other.db"}
    dead = tmp_path / "docs.dead.jsonl"
    if kind in ("sync", "repair"):
        jobs.run(kind="ingest", version=0, **given)
    killed = 0
    for turn in range(KILLS + 1):
        version = turn if kind in ("sync", "repair") else 7 * turn  # the others delete nothing
        if kind == "copy":
            jobs.run(kind="ingest", version=version, **{**given, "url": given["other"]})
        if kind == "retry":
            dead.write_text(letters(version))
        if kind == "repair":
            jobs.run(kind="sync", version=version, **given)
            jobs.run(kind="damage", version=version, **given)
        if turn == KILLS:
            break
        killed += jobs.kill(moments, kind=kind, version=version, **given)
        if kind == "retry":
            assert not dead.exists() or dead.read_text() == letters(version), "a letter is lost"
    assert killed > KILLS // 3, "most were to be killed in the middle"
    jobs.run(kind=kind, version=version, **given)
    assert len(rows(version)) > 200
    jobs.run(kind="compare", version=version, **given)
    assert not dead.exists()
