"""Jobs in children that are killed: one process imports all that they need, and forks a child a job, so that a kill costs little.

As a program, it takes a job a line on standard input, and prints the child's number and then how it ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

SIZE = 240
"""Documents of a source."""


class Jobs:
    """Runs jobs over the files of ``folder``, with a log that has a line for each request to a store."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.log = folder / "requests.log"
        self.log.touch()
        self._begun = 0
        paths = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        self._parent = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.log)],
            cwd=folder,
            env={**os.environ, **environment, **paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, **job: Any) -> None:
        """Do a job to its end."""
        self._begin(job)
        assert self._line() == "0", self.log.read_text()[-3_000:]

    def kill(self, moments: random.Random, **job: Any) -> bool:
        """Begin a job, and kill it after some requests; whether it was still at work."""
        begun, self._begun = self._requests(), self.log.stat().st_size
        child = int(self._begin(job))
        wanted = begun + moments.choice([0, 1, moments.randint(2, 12), moments.randint(2, 60)])
        until = time.monotonic() + 60
        while self._requests() < wanted and self._at_work() and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.02))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        ended = self._line()
        assert ended in ("0", "-9"), self.log.read_text()[-3_000:]
        return ended == "-9"

    def close(self) -> None:
        """End the process that forks."""
        self._parent.communicate()

    def _begin(self, job: dict[str, Any]) -> str:
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(job) + "\n")
        self._parent.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._parent.stdout is not None
        return self._parent.stdout.readline().strip()

    def _requests(self) -> int:
        return self.log.read_bytes().count(b"\n")

    def _at_work(self) -> bool:
        return not self.log.read_bytes()[self._begun :].endswith(b"done\n")


def rows(version: int) -> list[dict[str, Any]]:
    """The documents of a version of the source: some are changed, some come and some go from one to the next."""
    return [
        {"id": f"id {n}", "text": f"the text of row {n} by {(version + n) // 3}", "n": n}
        for n in range(SIZE)
        if (n + version) % 7
    ]


def do(kind: str, bundle: str, url: str, version: int, other: str = "") -> None:
    """One job; ``damage`` is what a repair is needed after, ``compare`` an assertion that the collection is the source, ``whole`` that it is
    so with the one model or the other, which is written to the file ``model``."""
    from embedkit.encoders.encoder import Encoder
    from embedkit.ingestion import check, copy, ingest, migrate, retry
    from embedkit.records.documents import Document
    from embedkit.stores.opening import open_store

    encoder = Encoder.load(bundle, variant="fp32", threads=1, on_truncate="ignore")
    place: dict[str, Any] = {"collection": "docs"}
    source = [Document(row["id"], row["text"], {"n": row["n"]}) for row in rows(version)]
    if kind == "ingest":
        ingest(source, encoder, url, window=16, **place)
    elif kind == "sync":
        ingest(source, encoder, url, window=16, sync=True, **place)
    elif kind == "copy":
        copy(other, url, **place)
    elif kind == "migrate":
        newer = Encoder.load(other, variant="fp32", threads=1, on_truncate="ignore")
        migrate(newer, url, **place)
    elif kind == "whole":
        with open_store(url) as store:
            made_with = store.open("docs").info.fingerprint
            if made_with != encoder.fingerprint:
                encoder = Encoder.load(other, variant="fp32", threads=1, on_truncate="ignore")
            report = check(source, encoder, store, vectors=SIZE, **place)
        assert report.consistent, str(report)
        Path("model").write_text(made_with)
    elif kind == "retry" and Path("docs.dead.jsonl").exists():
        retry("docs.dead.jsonl", encoder, url, window=16, **place)
    elif kind == "repair":
        check(source, encoder, url, drop_broken=True, **place)
        ingest(source, encoder, url, window=16, sync=True, **place)
    elif kind == "damage":
        with open_store(url) as store:
            docs = store.open("docs")
            docs.delete(ids=[row.id for row in source[version % 5 :: 5]])
            docs.upsert(_altered(docs, [row.id for row in source[version % 3 :: 3]]))
    elif kind == "compare":
        report = check(source, encoder, url, vectors=SIZE, **place)
        assert report.consistent, str(report)
        with open_store(url) as store:
            docs = store.open("docs")
            there = docs.get([row.id for row in source], with_vectors=True)
            assert [row.text for row in there] == [row.text for row in source]
            hits = docs.query([row.vector for row in there], 1)
            assert all(hit[0].score > 0.9999 for hit in hits), "a row is found by no search for its own vector"


def letters(version: int) -> str:
    """A dead-letter file with the documents of a version."""
    about = {"source": "docs.jsonl", "reason": "the store refused it", "format": "jsonl", "row": ""}
    return "".join(
        json.dumps(
            {
                **about,
                "line": i,
                "id": row["id"],
                "document": {"id": row["id"], "text": row["text"], "metadata": {"n": row["n"]}},
            }
        )
        + "\n"
        for i, row in enumerate(rows(version), start=1)
    )


def _altered(docs: Any, ids: list[str]) -> Any:
    """Rows whose content is not what their hash says."""
    import numpy as np

    from embedkit.records.batch import RecordBatch

    found = docs.get(ids, with_vectors=True)
    vectors = np.stack([row.vector for row in found])
    return RecordBatch(
        [row.id for row in found],
        vectors,
        ["altered"] * len(found),
        [row.metadata for row in found],
        [row.hash for row in found],
    )


def serve(log: str) -> None:
    """Fork a child for each line of standard input."""
    _logged(os.open(log, os.O_WRONLY | os.O_APPEND), log)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _child(json.loads(line), log)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _child(job: dict[str, Any], log: str) -> None:
    try:
        do(**job)
        code, last = 0, "done"
    except BaseException:
        code, last = 1, traceback.format_exc()
    with open(log, "a") as file:
        file.write(f"{last}\n")
    os._exit(code)


def _logged(file: int, log: str) -> None:
    """Let each request to a store have a line in the log, before it and after it."""
    import importlib

    from embedkit.ingestion.jobs import copy, migrate
    from embedkit.stores.guarded import GuardedCollection

    for name in ("chromadb", "psycopg", "onnxruntime", "embedkit_chroma._store", "embedkit_pgvector._store"):
        with suppress(ImportError):
            importlib.import_module(name)
    copy._PAGE = migrate._PAGE = 16
    for name in ("upsert", "delete", "scan", "hashes"):

        def logged(
            self: Any, *args: Any, act: Any = getattr(GuardedCollection, name), name: str = name, **given: Any
        ) -> Any:
            os.write(file, f"{name}\n".encode())
            found = act(self, *args, **given)
            os.write(file, b"ok\n")
            return found

        setattr(GuardedCollection, name, logged)


if __name__ == "__main__":
    serve(sys.argv[1])
