"""Children that write to a store, for tests of what survives a kill and of several writers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from embedkit.records.batch import RecordBatch
from embedkit.records.metadata import Metadata
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.guarded import GuardedCollection

DIM = 8
SPEC = CollectionSpec("docs", DIM, "dot", "model")

_WRITE = """
import importlib, itertools, sys
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.contract import StoreURL
from helpers.writing import SPEC, rows
plugin, url, prefix, size, turns = sys.argv[1:]
BEFORE
docs = GuardedStore(importlib.import_module(plugin).open_store(StoreURL.parse(url))).ensure(SPEC)
for turn in range(int(turns)) if turns != "0" else itertools.count():
    docs.upsert(rows(f"{prefix}{turn}", int(size)))
    print(turn, flush=True)
"""


def rows(turn: str, size: int) -> RecordBatch:
    """``size`` rows whose ids, texts and vectors follow from ``turn``."""
    ids = [f"{turn} {i}" for i in range(size)]
    seed = sum(map(ord, turn))
    vectors = np.random.default_rng(seed).normal(size=(size, DIM)).astype(np.float32)
    metadata: list[Metadata] = [{"turn": turn, "i": i} for i in range(size)]
    return RecordBatch(ids, vectors, [f"text {row_id}" for row_id in ids], metadata, [f"hash {turn}"] * size)


def writer(
    plugin: str, url: str, prefix: str = "", *, size: int = 50, turns: int = 0, before: str = "", quiet: bool = False
) -> subprocess.Popen[str]:
    """A child that upserts ``turns`` batches (without end where 0), and prints the number of each when it is acknowledged.

    ``before`` is code that it runs first; ``quiet`` keeps its stderr for the caller.
    """
    paths = [path for path in sys.path if path]
    code = _WRITE.replace("BEFORE", before and f"import {before.partition('=')[0].rpartition('.')[0]}\n{before}")
    return subprocess.Popen(
        [sys.executable, "-c", code, plugin, url, prefix, str(size), str(turns)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
    )


def kill_after(child: subprocess.Popen[str], turns: int) -> int:
    """Kill -9 after so many acknowledged batches; the number of the last one acknowledged."""
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) + 1 >= turns:
            break
    child.kill()
    rest = child.stdout.read().split()
    child.wait()
    return int(rest[-1]) if rest else turns - 1


def assert_acknowledged(docs: GuardedCollection, last: int, *, size: int = 50) -> None:
    """All rows of the batches up to ``last`` are there whole, and at most the next batch besides."""
    for turn in range(last + 1):
        batch = rows(str(turn), size)
        found = docs.get(batch.ids, with_vectors=True)
        assert [record.id for record in found] == batch.ids
        assert [record.text for record in found] == batch.texts
        assert np.array_equal(np.stack([record.vector for record in found]), batch.vectors)
    assert size * (last + 1) <= docs.count() <= size * (last + 2)


def all_ids(docs: GuardedCollection) -> list[str]:
    """The ids of all rows, as a scan gives them."""
    out: list[str] = []
    cursor: str | None = None
    while True:
        page = docs.scan(cursor=cursor)
        out += [record.id for record in page.records]
        cursor = page.cursor
        if cursor is None:
            return out
