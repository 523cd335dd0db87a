"""A store of one collection that writes down what it is asked."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np

from embedkit.errors import CollectionNotFoundError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import WriteResult
from embedkit.stores.contract import Capabilities, CollectionInfo
from embedkit.stores.guarded import GuardedStore


class Recorder:
    """A store of one collection that writes down what it is asked, and counts the calls that run at once."""

    def __init__(self, caps: Capabilities, metric: str = "cosine") -> None:
        self.caps, self.calls, self.closed = caps, [], 0
        self.info = CollectionInfo("docs", 2, metric, "model")
        self.running, self.most_running = 0, 0
        self.answers: dict[str, object] = {}

    def ensure(self, spec):
        return self

    def open(self, name):
        if name != "docs":
            raise CollectionNotFoundError(name)
        return self

    def names(self):
        return ["docs"]

    def drop(self, name):
        self.calls.append(("drop", name))

    def close(self):
        self.closed += 1

    def __getattr__(self, name):
        if name not in ("upsert", "get", "hashes", "delete", "query", "scan", "count", "flush"):
            raise AttributeError(name)

        def call(*args, **options):
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            time.sleep(0.001)
            self.calls.append((name, args, options))
            self.running -= 1
            default = {"upsert": lambda: WriteResult(len(args[0])), "get": list, "hashes": dict, "query": list}.get(
                name, int
            )
            return self.answers.get(name, default())

        return call


def guarded(metric: str = "cosine", **caps: object) -> tuple[Recorder, SimpleNamespace]:
    recorder = Recorder(Capabilities(**caps), metric)
    store = GuardedStore(recorder)
    return recorder, SimpleNamespace(store=store, docs=store.open("docs"))


def rows(ids: list[str], vectors: object = None, **columns: object) -> RecordBatch:
    n = len(ids)
    made = np.ones((n, 2)) if vectors is None else vectors
    parts = {"texts": [""] * n, "metadata": [{}] * n, "hashes": [""] * n, **columns}
    return RecordBatch(ids, np.asarray(made, np.float32), **parts)


def upserted(recorder: Recorder) -> list[RecordBatch]:
    return [args[0] for name, args, _ in recorder.calls if name == "upsert"]
