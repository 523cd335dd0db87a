"""A sequence done with a store and with the model, and what differs."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import open_store
from embedkit.testing.samples import fresh_name

from .model import Model
from .operations import Elsewhere, Operation, Reopen, Step, perform
from .rows import Setting
from .sequences import sequence, shortest


class Place:
    """A store at ``url``, which ``opening`` opens, for one sequence after another, each in a collection of its own."""

    def __init__(self, url: str, opening: Callable[[str], GuardedStore] = open_store) -> None:
        self.url, self._open = url, opening
        self.store: GuardedStore = opening(url)
        self.caps = self.store.caps
        self._other: subprocess.Popen[bytes] | None = None

    def search(self, seeds: Sequence[int], length: int, *, elsewhere: bool) -> str:
        """The report of the first sequence that fails, in its shortest form; empty where none does."""
        for seed in seeds:
            setting, operations = self.drawn(seed, length, elsewhere=elsewhere)
            if not self.failure(operations, setting):
                continue
            least = shortest(operations, lambda tried, setting=setting: bool(self.failure(tried, setting)))
            steps = "\n".join(f"  {operation!r}" for operation in least)
            return f"{self.url}: EMBEDKIT_SEED={seed}: {setting}\n{steps}\n{self.failure(least, setting)}"
        return ""

    def drawn(self, seed: int, length: int, *, elsewhere: bool = False) -> tuple[Setting, list[Operation]]:
        """The sequence of this seed, and the collection that it is for."""
        rng = random.Random(seed)
        setting = Setting.of(self.caps, rng)
        return setting, sequence(rng, setting, length, elsewhere=elsewhere)

    def failure(self, operations: Sequence[Operation], setting: Setting) -> str:
        """What is wrong first when these are done with a new collection; empty where nothing is."""
        name, model = fresh_name("fuzzed"), Model(setting)
        docs = self.store.ensure(setting.spec(name))
        operation: Operation | None = None
        try:
            for operation in operations:
                if isinstance(operation, Reopen):
                    docs = self._reopened(name)
                elif isinstance(operation, Elsewhere):
                    docs, answer = self._elsewhere(operation.what, name, setting, docs)
                    model.check(operation.what, answer)
                else:
                    model.check(operation, perform(operation, docs, setting))
        except Exception:
            return f"at {operation!r}:\n{traceback.format_exc()}"
        finally:
            self.store.drop(name)
        return ""

    def close(self) -> None:
        """Release the store, and the other process."""
        self.store.close()
        if self._other is not None:
            self._other.communicate()

    def _reopened(self, name: str) -> GuardedCollection:
        self.store.close()
        self.store = self._open(self.url)
        return self.store.open(name)

    def _elsewhere(
        self, step: Step, name: str, setting: Setting, docs: GuardedCollection
    ) -> tuple[GuardedCollection, Any]:
        if not self.caps.multi_process:
            self.store.close()
        try:
            if self._other is None:
                environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
                self._other = subprocess.Popen(
                    [sys.executable, "-m", __name__, self.url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                )
            assert self._other.stdin is not None
            assert self._other.stdout is not None
            pickle.dump((step, name, setting), self._other.stdin)
            self._other.stdin.flush()
            answer = pickle.load(self._other.stdout)
        finally:
            if not self.caps.multi_process:
                docs = self._reopened(name)
        assert not isinstance(answer, str), answer
        return docs, answer


def serve(url: str) -> None:
    """Do what is asked for on standard input, and answer on standard output: the other process."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a database prints is no answer
    kept: GuardedStore | None = None
    while True:
        try:
            step, name, setting = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: Any
        try:
            kept = kept or open_store(url)
            answer = perform(step, kept.open(name), setting)
        except Exception:
            answer = traceback.format_exc()
        if kept is not None and not kept.caps.multi_process:
            kept.close()
            kept = None
        pickle.dump(answer, out)
        out.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
