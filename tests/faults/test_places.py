"""A full disk, two ingests at once, and a large source with bad rows in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers import slow
from helpers.job import Job

pytest.importorskip("chromadb")


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own; only the administrator may make one."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "embedkit-test", str(folder)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs tmpfs")
@pytest.mark.parametrize(
    ("name", "size", "free"),
    [("chroma", 40, 6), ("duckdb", 40, 1), ("lancedb", 40, 2), ("qdrant-edge", 140, 60), ("sqlite-vec", 40, 1)],
)
def test_a_full_disk_ends_the_ingest_with_an_error_and_room_lets_it_go_on(
    job: Job, tmp_path: Path, name: str, size: int, free: int
) -> None:
    pytest.importorskip({"chroma": "chromadb"}.get(name, name.replace("-", "_")))
    job.environment.update(QUICK_RETRIES="1")
    with small_disk(tmp_path / "disk", size) as disk:
        url = f"{name}://{disk}/index"
        ballast = disk / "ballast"
        ballast.write_bytes(b"\1" * (size - free << 20))
        process = job.start(url)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 1, "the disk was to be too small"
        last = err.strip().splitlines()[-1]
        assert "run again to go on" in last or "make room" in last
        ballast.unlink()
        acknowledged = job.acknowledged()
        before = job.stored(url) if acknowledged else {}
        assert acknowledged <= before.keys()
        assert before.items() <= job.rows.items()
        assert job.finish(job.start(url))["unchanged"] == len(before)
        assert job.stored(url) == job.rows
    job.check_log()


def test_two_ingests_at_once_into_one_folder(job: Job) -> None:
    first = job.start("chroma:index")
    job.wait(first, lambda lines: any(line.startswith("+") for line in lines))
    second = job.start("chroma:index")
    _, err = second.communicate(timeout=120)
    assert second.returncode == 1
    assert f"another ingest (process {first.pid} on" in err.strip().splitlines()[-1]
    report = job.finish(first)
    assert report["written"] == len(job.rows)
    assert job.stored("chroma:index") == job.rows
    assert job.finish(job.start("chroma:index"))["unchanged"] == len(job.rows)


@pytest.mark.parametrize("n", slow.but([5_000], [5_000, 50_000]))
def test_one_row_in_a_hundred_is_bad(n: int, job: Job) -> None:
    bad = {
        0: '{"id": "id 0", "text"',
        1: '{"text": "no id"}',
        2: '{"id": "empty", "text": "  "}',
        3: '{"id": 7.5, "text": "an id that is no text"}',
        4: '{"id": "id 404", "text": 404}',
        5: '["a list"]',
        6: '{"id": "surrogate", "text": "\\ud800"}',
    }
    with job.source.open("w") as file:
        for i in range(n):
            if i % 100 == 50:
                file.write(bad[i // 100 % len(bad)] + "\n")
            else:
                file.write(json.dumps({"id": f"id {i}", "text": f"text {i % 5_000}", "n": i}) + "\n")
    report = job.finish(job.start("chroma:index", window=2_000))
    assert (report["read"], report["written"], report["dead"]) == (n, n - n // 100, n // 100)
    letters = [json.loads(line) for line in (job.folder / "docs.dead.jsonl").read_text().splitlines()]
    assert [letter["line"] for letter in letters] == list(range(51, n + 1, 100))
    assert all(letter["reason"] for letter in letters)
    assert [letter["row"] for letter in letters] == [bad[i % len(bad)] for i in range(n // 100)]
    stored = job.stored("chroma:index")
    assert stored == {f"id {i}": f"text {i % 5_000}" for i in range(n) if i % 100 != 50}
