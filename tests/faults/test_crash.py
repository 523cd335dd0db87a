"""An ingest that is killed at any moment is finished by running it again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import slow

pytest.importorskip("chromadb")

ROWS = 6_000


def start(bundle: Path, folder: Path, file: str) -> subprocess.Popen[str]:
    command = ["ingest", str(bundle), file, "--store", "chroma:index", "--collection", "docs", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "embedkit", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background of a shell ignores Ctrl-C, and hands that on to its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def feed(process: subprocess.Popen[str], rows: dict[str, str], folder: Path, *, count: int) -> None:
    """Give it the first rows and leave its input open, so that it cannot end; return when some are stored."""
    assert process.stdin is not None
    process.stdin.writelines(list(lines(rows))[:count])
    process.stdin.flush()
    database = folder / "index" / "chroma.sqlite3"
    for _ in range(2_000):
        if database.exists() and database.stat().st_size > 1 << 20:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def lines(rows: dict[str, str]) -> Iterator[str]:
    for n, (row_id, text) in enumerate(rows.items()):
        yield json.dumps({"id": row_id, "text": text, "n": n}) + "\n"


def rows_in(folder: Path) -> dict[str, str]:
    """What a new process would find: read in a child, because Chroma holds a folder until its process ends."""
    code = (
        "import json; from embedkit_chroma import open_store; from embedkit.stores.contract import StoreURL\n"
        "rows = open_store(StoreURL.parse('chroma:index')).open('docs')\n"
        "page = rows.scan(limit=100_000)\n"
        "print(json.dumps([[row.id, row.text, row.metadata['n']] for row in page.records]))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert len(listed) == len({row[0] for row in listed}), "a row is there twice"
    assert all(row_id == f"id {n}" for row_id, _, n in listed)
    return {row_id: text for row_id, text, _ in listed}


@pytest.fixture
def source(working_folder: Path, entry_points: None) -> dict[str, str]:
    rows = {f"id {n}": f"the text of row {n}" for n in range(ROWS)}
    (working_folder / "docs.jsonl").write_text("".join(lines(rows)))
    return rows


@pytest.mark.parametrize("seed", slow.but([0], range(3)))
def test_after_kill_9_the_next_run_ends_with_exactly_the_rows_of_the_source(bundle, working_folder, source, seed):
    moment = random.Random(seed)
    process = start(bundle, working_folder, "-")
    feed(process, source, working_folder, count=moment.randint(2_000, ROWS))
    time.sleep(moment.uniform(0, 0.7))
    process.kill()
    process.communicate()
    before = rows_in(working_folder)
    assert before.items() <= source.items()

    again = start(bundle, working_folder, "docs.jsonl")
    out, err = again.communicate()
    assert again.returncode == 0, err
    report = json.loads(out)
    assert report["unchanged"] == len(before), "an acknowledged row was encoded again"
    assert report["written"] == report["encoded"] == ROWS - len(before)
    assert rows_in(working_folder) == source


def test_ctrl_c_leaves_a_true_summary_and_exit_code_130(bundle, working_folder, source):
    process = start(bundle, working_folder, "-")
    feed(process, source, working_folder, count=3_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "run again to go on" in err
    assert "Traceback" not in err
    assert 0 < json.loads(out)["written"] == len(rows_in(working_folder)) < ROWS
