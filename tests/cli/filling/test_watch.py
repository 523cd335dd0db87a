"""``embedkit sync --watch`` in a process of its own: rounds, failures, signals."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

pytest.importorskip("sqlite_vec")

import embedkit
from embedkit.cli.filling.watch import store_path
from embedkit.testing.tiny import tiny_bundle

STORE = "sqlite-vec:index.db"
SECONDS = 120


class Watch:
    """The command, and the lines that it prints."""

    def __init__(self, *options):
        command = [
            sys.executable,
            "-m",
            "embedkit",
            "sync",
            "bundle",
            "manual",
            "--store",
            STORE,
            "--collection",
            "docs",
        ]
        self.process = subprocess.Popen(
            [*command, "--watch", "--every", "0.1", "--engine", "onnxruntime", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(line)

    def line(self):
        return self._lines.get(timeout=SECONDS)

    def round(self):
        return json.loads(self.line())

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@pytest.fixture
def watch(folder):
    tiny_bundle(folder / "bundle")
    (folder / "manual").mkdir()
    (folder / "manual" / "one.md").write_text("one")
    (folder / "manual" / "two.md").write_text("two")
    started = []

    def start(*options):
        started.append(Watch(*options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def stored():
    with embedkit.open_store(STORE) as store:
        return {row.id: row.text for row in store.open("docs").records()}


def counts(told):
    return {name: told[name] for name in ("round", "read", "written", "unchanged", "deleted")}


def test_each_change_is_a_round_and_the_end_is_clean(watch, folder):
    running = watch("--json")
    assert counts(running.round()) == {"round": 1, "read": 2, "written": 2, "unchanged": 0, "deleted": 0}
    (folder / "manual" / "two.md").write_text("another two")
    assert counts(running.round()) == {"round": 2, "read": 2, "written": 1, "unchanged": 1, "deleted": 0}
    (folder / "manual" / "one.md").unlink()
    (folder / "manual" / "three.md").write_text("three")
    told = running.round()
    while told["deleted"] == 0:  # the two were seen one by one
        told = running.round()
    assert stored() == {"two.md": "another two", "three.md": "three"}
    assert running.end() == 0


def test_what_changes_before_the_end_is_written(watch, folder):
    running = watch()
    assert "collection docs: 2 read, 2 written" in running.line()
    running.process.send_signal(signal.SIGSTOP)
    (folder / "manual" / "one.md").write_text("the last words")
    running.process.send_signal(signal.SIGTERM)
    running.process.send_signal(signal.SIGCONT)
    assert running.process.wait(SECONDS) == 0
    assert stored() == {"one.md": "the last words", "two.md": "two"}


def test_a_round_that_fails_is_told_and_tried_again(watch, folder):
    running = watch("--json")
    assert running.round()["written"] == 2
    (folder / "manual").rename(folder / "elsewhere")
    told = running.round()
    assert "error" in told
    assert stored() == {"one.md": "one", "two.md": "two"}, "an empty source deletes nothing"
    (folder / "elsewhere" / "one.md").write_text("new")
    (folder / "elsewhere").rename(folder / "manual")
    told = running.round()
    while "error" in told:
        told = running.round()
    assert told["written"] == 1
    assert running.end(signal.SIGINT) == 0


def test_a_first_round_that_fails_ends_it(watch, folder):
    (folder / "manual" / "one.md").unlink()
    (folder / "manual" / "two.md").unlink()
    running = watch()
    assert running.process.wait(SECONDS) == 1


def test_the_exit_code_is_that_of_the_last_round(watch, folder):
    (folder / "manual" / "bad.jsonl").write_text('{"id": "x"}\n')
    running = watch("--fail-on-dead")
    assert "rows that were not usable: docs.dead.jsonl" in running.line()
    assert running.end() == 1


@pytest.mark.parametrize("options", [["--watch", "--dry-run"], ["--every", "3"], ["--watch", "--every", "0"]])
def test_options_that_do_not_fit(run, bundle, folder, options):
    (folder / "x.md").write_text("x")
    assert run("sync", bundle, "x.md", "--store", STORE, "--collection", "docs", *options)[0] == 2


def test_standard_input_is_read_once(run, bundle):
    code, _, err = run("sync", bundle, "-", "--store", STORE, "--collection", "docs", "--watch")
    assert (code, "read again" in err) == (2, True)


def test_places_that_a_store_writes_to(folder):
    assert store_path("sqlite-vec:index.db") == [str(folder / "index.db")]
    assert store_path("qdrant://localhost:6333") == store_path("memory:") == []
