"""Servers that are killed, overloaded, silent or cut off in the middle of an ingest: every row is there in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.chroma_server import ChromaServer
from helpers.job import Job
from helpers.proxy import Faults, faulty_proxy

WRITES = ("add", "upsert")


def act(path: str) -> str:
    """What a request to Chroma asks for."""
    return path.rsplit("/", 1)[-1]


@pytest.fixture
def chroma(tmp_path: Path) -> Iterator[ChromaServer]:
    pytest.importorskip("chromadb")
    (tmp_path / "server").mkdir()
    server = ChromaServer(tmp_path / "server" / "data")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def postgres(job: Job) -> Iterator[object]:
    for package in ("psycopg", "pgvector", "pgserver"):
        pytest.importorskip(package)
    from helpers.postgres import PASSWORD, Postgres

    job.environment.update(PGUSER="postgres", PGPASSWORD=PASSWORD)
    server = Postgres()
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["chroma", "postgres"])
def test_a_server_that_is_killed_and_started_again(
    job: Job, name: str, request: pytest.FixtureRequest, moments: random.Random
):
    server = request.getfixturevalue(name)
    process = job.start(server.url)
    for part in (1, 2):
        least = moments.randint(1, len(job.rows) // 3) * part
        job.wait(process, lambda lines, least=least: sum(line.startswith("+") for line in lines) >= least)
        assert process.poll() is None, process.communicate()
        server.kill()
        time.sleep(moments.uniform(0, 1.0))
        server.start()
    report = job.finish(process)
    assert report["written"] == report["encoded"] == len(job.rows)
    assert job.stored(server.url) == job.rows
    job.check_log()


def test_a_database_that_stays_silent_for_a_while(job: Job, postgres) -> None:
    """Its processes are stopped, so that it keeps connections and answers nothing, then go on."""
    import psutil

    job.environment.update(EMBEDKIT_STORE_TIMEOUT="3")
    process = job.start(postgres.url)
    job.wait(process, lambda lines: sum(line.startswith("+") for line in lines) >= 200)
    server = psutil.Process(postgres.process.pid)
    stopped = [server, *server.children(recursive=True)]
    for one in stopped:
        one.suspend()
    before = len(job.acknowledged())
    time.sleep(3)
    assert len(job.acknowledged()) <= before + 64, "it was to be silent"
    for one in stopped:
        if one.is_running():
            one.resume()
    report = job.finish(process)
    assert report["written"] == len(job.rows)
    assert job.stored(postgres.url) == job.rows


def ingested(job: Job, chroma: ChromaServer, faults: Faults, port: int) -> dict[str, object]:
    job.environment.update(EMBEDKIT_STORE_TIMEOUT="3", QUICK_RETRIES="1")
    report = job.finish(job.start(f"chroma://127.0.0.1:{port}", window=300))
    assert job.stored(chroma.url) == job.rows
    assert faults.done
    return report


def first(job: Job, rows: int) -> None:
    """Let the job have its first rows alone: faults that are waited for take long."""
    job.source.write_text("".join(job.source.read_text().splitlines(keepends=True)[:rows]))
    for row_id in list(job.rows)[rows:]:
        del job.rows[row_id]


@pytest.mark.parametrize(
    "fault",
    [(429, {"Retry-After": "1"}), (500, {}), "drop", "cut", "hang"],
    ids=["429", "500", "dropped", "cut", "silent"],
)
def test_a_server_that_fails_some_requests(job: Job, chroma: ChromaServer, fault, moments: random.Random) -> None:
    """Every fault hits some writes and some reads, no more than three between two writes that are taken."""
    first(job, 900)
    with faulty_proxy("127.0.0.1", chroma.port) as (port, faults):
        row, hit = {"faults": 0}, set[bool]()

        def plan(method: str, path: str, size: int):
            written = act(path) in WRITES
            if (written or act(path) == "get") and row["faults"] < 3 and (written not in hit or moments.random() < 0.4):
                row["faults"] += 1
                hit.add(written)
                return fault
            if written:
                row["faults"] = 0
            return "pass"

        faults.plan = plan
        report = ingested(job, chroma, faults, port)
    assert hit == {True, False}
    assert (report["dead"], report["written"], report["encoded"]) == (0, len(job.rows), len(job.rows))
    job.check_log() if fault not in ("cut", "hang") else None


def test_retry_after_is_kept(job: Job, chroma: ChromaServer) -> None:
    with faulty_proxy("127.0.0.1", chroma.port) as (port, faults):
        times: list[float] = []

        def plan(method: str, path: str, size: int):
            if act(path) in WRITES:
                times.append(time.monotonic())
                if len(times) == 1:
                    return 429, {"Retry-After": "2"}
            return "pass"

        faults.plan = plan
        ingested(job, chroma, faults, port)
    assert times[1] - times[0] >= 2


def test_a_server_that_takes_no_large_requests(job: Job, chroma: ChromaServer) -> None:
    """A batch that is too large is halved until it is taken; one row that is too large alone is set apart."""
    job.rows["id 3000"] = "long " * 30_000
    with job.source.open("a") as file:
        file.write('{"id": "id 3000", "n": 3000, "text": "' + job.rows["id 3000"] + '"}\n')
    with faulty_proxy("127.0.0.1", chroma.port) as (port, faults):
        faults.plan = lambda method, path, size: (413, {}) if act(path) in WRITES and size > 60_000 else "pass"
        large = job.rows.pop("id 3000")
        report = ingested(job, chroma, faults, port)
    assert (report["written"], report["dead"]) == (len(job.rows), 1)
    letters = (job.folder / "docs.dead.jsonl").read_text()
    assert "413" in letters
    assert large[:100] in letters


def test_a_server_that_never_answers_again_ends_the_ingest_with_what_was_done(job: Job, chroma: ChromaServer) -> None:
    with faulty_proxy("127.0.0.1", chroma.port) as (port, faults):
        taken = {"writes": 0}

        def plan(method: str, path: str, size: int):
            taken["writes"] += act(path) in WRITES
            return "drop" if taken["writes"] > 3 else "pass"

        faults.plan = plan
        job.environment.update(QUICK_RETRIES="1")
        process = job.start(f"chroma://127.0.0.1:{port}", window=300)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "900 rows were written and stay: run again to go on" in err
    assert len(job.stored(chroma.url)) == 900
    report = job.finish(job.start(chroma.url))
    assert (report["unchanged"], report["written"]) == (900, len(job.rows) - 900)
    assert job.stored(chroma.url) == job.rows
    assert out == ""
