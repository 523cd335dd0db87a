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
        self._other: Other | None = None

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
            self._other.close()

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
            self._other = self._other or Other(self.url)
            answer = self._other.asked((step, name, setting))
        except OtherEndedError:
            self._other = None
            raise
        finally:
            if not self.caps.multi_process:
                docs = self._reopened(name)
        assert not isinstance(answer, str), answer
        return docs, answer


class OtherEndedError(Exception):
    """The other process has ended, and says how."""


class Other:
    """Another process with the store open. It answers through a pipe of its own, into which nothing prints."""

    def __init__(self, url: str) -> None:
        answers, given = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, url, str(given)],
            stdin=subprocess.PIPE,
            stdout=2,  # what a database prints is no answer
            pass_fds=[given],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        os.close(given)
        self._answers = os.fdopen(answers, "rb")

    def asked(self, what: tuple[Step, str, Setting]) -> Any:
        """What it answers; a string is an exception's traceback."""
        assert self._process.stdin is not None
        try:
            pickle.dump(what, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._answers)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._process.kill()
            self._answers.close()
            raise OtherEndedError(f"the other process ended with {self._process.wait()}: {error!r}") from error

    def close(self) -> None:
        """End it, and wait until it has."""
        self._process.communicate()
        self._answers.close()


def serve(url: str, given: int) -> None:
    """Do what is asked for on standard input, and answer to the pipe ``given``: the other process."""
    kept: GuardedStore | None = None
    while True:
        try:
            step, name, setting = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            kept = kept or open_store(url)
            answer = pickle.dumps(perform(step, kept.open(name), setting))
        except Exception:
            answer = pickle.dumps(traceback.format_exc())
        if kept is not None and not kept.caps.multi_process:
            kept.close()
            kept = None
        while answer:
            answer = answer[os.write(given, answer) :]


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
