"""kill -9 at random moments, again and again: after resuming, the rows are the source's, and none was encoded twice."""

from __future__ import annotations

import importlib.util
import json
import random
import time
from collections.abc import Iterator

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.ingestion import Chunking, FileRows, check, chunked, ingest
from embedkit.stores.opening import open_store
from embedkit.testing.tiny import tiny_bundle
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


@pytest.mark.parametrize(
    ("scheme", "late"), [("chroma", False), ("lancedb", False), pytest.param("lancedb", True, marks=pytest.mark.slow)]
)
def test_chunks_that_a_source_has_no_longer_are_gone_however_often_it_was_killed(
    job: Job, scheme: str, late: bool, moments: random.Random
) -> None:
    """The texts of the source grow and shrink while ingests of it are killed."""
    pytest.importorskip({"chroma": "chromadb"}.get(scheme, scheme))
    url = f"{scheme}:index"
    job.environment["CHUNK"] = "12"
    if late:
        job.environment["LATE"] = "1"
        job.bundle = tiny_bundle(job.folder / "late", kinds=("dense", "tokens"))
    encoder = Encoder.load(job.bundle, variant="fp32", threads=1, on_truncate="ignore")

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
    chunks = chunked(rows, encoder, Chunking(size=12, late=late))
    report = check(chunks, encoder, f"{scheme}://{job.folder}/index", collection="docs", vectors=0 if late else 50)
    assert report.consistent, str(report)
    assert report.rows > 60


@pytest.mark.slow
def test_near_duplicates_are_the_same_however_often_it_was_killed(
    job: Job, moments: random.Random, encoder: Encoder
) -> None:
    pytest.importorskip("sqlite_vec")
    texts = [" ".join(moments.choices(["tea", "rain", "coast"], k=moments.randint(1, 4))) for _ in range(400)]
    job.source.write_text(
        "".join(json.dumps({"id": f"id {n}", "text": text, "n": n}) + "\n" for n, text in enumerate(texts))
    )
    job.environment["DEDUPE"] = "0.98"
    for _ in range(KILLS):
        process = job.start("sqlite-vec:index", window=8)
        begun = len(job.lines())
        job.wait(process, lambda lines, begun=begun: len(lines) >= begun + moments.randint(1, 60))
        process.kill()
        _, err = process.communicate()
        assert process.returncode in (-9, 0), err
    job.finish(job.start("sqlite-vec:index", window=32))
    with open_store("memory:whole") as whole:
        ingest(
            FileRows([job.source]),
            encoder,
            whole,
            collection="docs",
            dedupe=0.98,
            dead_letters=job.folder / "dead.jsonl",
        )
        expected = {row.id for row in whole.open("docs").records(None)}
    assert job.stored("sqlite-vec:index").keys() == expected
    assert len(expected) < 200
