"""kill -9 at random moments, again and again: after resuming, the rows are the source's, and none was encoded twice."""

from __future__ import annotations

import importlib.util
import json
import random
import time
from collections.abc import Iterator

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.ingestion import Chunking, FileRows, check, chunked
from helpers import slow
from helpers.job import KILLS, Job

STORES = {
    "chroma": "chromadb",
    "pgvector": "pgserver",
    "duckdb": "duckdb",
    "lancedb": "lancedb",
    "milvus": "milvus_lite",
    "qdrant-edge": "qdrant_edge",
    "sqlite-vec": "sqlite_vec",
}


@pytest.fixture(params=slow.but(set(STORES) - {"duckdb", "milvus", "sqlite-vec"}, STORES))
def url(request: pytest.FixtureRequest, job: Job, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = request.param
    if importlib.util.find_spec(STORES[name]) is None:
        pytest.skip(f"{STORES[name]} is not installed")
    if name != "pgvector":
        yield f"{name}:index"
        return
    from helpers.postgres import PASSWORD, Postgres

    job.environment.update(PGUSER="postgres", PGPASSWORD=PASSWORD)
    server = Postgres()
    try:
        yield server.url
    finally:
        server.stop()


def test_an_ingest_that_is_killed_again_and_again(job: Job, url: str, moments: random.Random) -> None:
    killed = 0
    for _ in range(KILLS):
        process = job.start(url)
        begun = len(job.lines())
        more = moments.choice([1, moments.randint(2, 1 + 2 * len(job.rows) // KILLS)])
        job.wait(process, lambda lines: len(lines) >= begun + more)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        _, err = process.communicate()
        assert process.returncode in (-9, 0), err
        killed += process.returncode == -9
    assert killed > KILLS // 2, "most were to be killed in the middle"
    before, acknowledged = job.stored(url) if "!begun" in job.lines() and job.acknowledged() else {}, job.acknowledged()
    assert acknowledged <= before.keys(), "a row was acknowledged and is not there"
    assert before.items() <= job.rows.items()
    report = job.finish(job.start(url))
    assert report["unchanged"] == len(before)
    assert report["written"] == report["encoded"] == len(job.rows) - len(before)
    assert job.stored(url) == job.rows
    job.check_log()


@pytest.mark.parametrize("scheme", ["chroma", "lancedb"])
def test_chunks_that_a_source_has_no_longer_are_gone_however_often_it_was_killed(
    job: Job, scheme: str, moments: random.Random, encoder: Encoder
) -> None:
    """The texts of the source grow and shrink while ingests of it are killed."""
    pytest.importorskip({"chroma": "chromadb"}.get(scheme, scheme))
    url = f"{scheme}:index"
    job.environment["CHUNK"] = "12"

    def write(version: int) -> None:
        documents = (
            {"id": f"doc {n}", "text": f"Sentence of {version}. " * moments.randint(1, 20), "n": n} for n in range(60)
        )
        job.source.write_text("".join(json.dumps(document) + "\n" for document in documents))

    for version in range(KILLS):
        write(version)
        process = job.start(url, window=16)
        begun = len(job.lines())
        job.wait(process, lambda lines, begun=begun: len(lines) >= begun + moments.randint(1, 300))
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        _, err = process.communicate()
        assert process.returncode in (-9, 0), err
    write(KILLS)
    job.finish(job.start(url, window=16))
    rows = FileRows([job.source])
    chunks = chunked(rows, encoder, Chunking(size=12))
    report = check(chunks, encoder, f"{scheme}://{job.folder}/index", collection="docs")
    assert report.consistent, str(report)
    assert report.rows > 60
