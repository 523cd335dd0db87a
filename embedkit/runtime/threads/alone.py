"""A request of one batch on several threads, which would leave all but one of them idle.

A graph's usual session computes on its caller's thread, so that as many batches as there are threads are computed at a time. Where
nothing else is, a second session of the same graph computes one batch on several threads. It holds the weights once more
(onnxruntime shares what it makes of them with no other session in Python), so it is there for small graphs only, and from
the second such request on.

Its vectors are the same bytes, which is not so by itself: onnxruntime cuts a product into parts for its threads, and sums in another
order where a part is narrow (of 384 channels on 16 threads from 343 tokens on). So the threads are few, and what both sessions give is
compared byte by byte on this machine, over the sizes that the second is used for, before it is.
"""

from __future__ import annotations

import os
from threading import Lock

import numpy as np

from embedkit.runtime.engines.base import Session
from embedkit.runtime.frontends.base import Batch, Item
from embedkit.runtime.frontends.batching import TokenBatch
from embedkit.runtime.loaded import LoadedBundle
from embedkit.runtime.tower import Tower
from embedkit.vectors.values import equal

SLOTS = range(96, 513)
"""Token slots of a batch that several threads compute: a smaller one is as quick on one, and of a larger one it is not proved."""
THREADS = 4
"""Threads at most."""
_REQUESTS = 2
"""The request with which it is worth to open a second session."""
_COMPARED = 16
"""Items of different sizes that both sessions compute."""


class Alone:
    """Finds the tower that computes the only batch of a request while nothing else is computed; several threads may share one."""

    def __init__(self, threads: int) -> None:
        """``threads`` are those of the bundle."""
        self._threads = min(threads, THREADS)
        self._lock, self._process = Lock(), os.getpid()
        self._asked: dict[Session, int] = {}
        self._found: dict[Session, Session] = {}

    def tower(self, loaded: LoadedBundle, role: str, batch: Batch) -> Tower | None:
        """The tower for a batch of the bundle, which it hands in since it holds this; None where the role's own is to compute it."""
        if not isinstance(batch, TokenBatch) or batch.width * len(batch.rows) not in SLOTS:
            return None
        if self._process != os.getpid():  # a forked process has none of the threads
            return None
        own = loaded.towers[role]
        with self._lock:
            asked = self._asked[own.session] = self._asked.get(own.session, 0) + 1
        if asked == _REQUESTS:
            loaded.begin(lambda: self._open(loaded, role, own))
        found = self._found.get(own.session)
        return None if found is None else _with(own, found)

    def _open(self, loaded: LoadedBundle, role: str, own: Tower) -> None:
        session = own.session.on_threads(self._threads)
        if session is not None and loaded.once(
            f"{role} on {self._threads} threads", lambda: is_same(own, _with(own, session), _items(loaded, role))
        ):
            self._found[own.session] = session


def _items(loaded: LoadedBundle, role: str) -> list[Item]:
    """Items of all sizes up to the largest of `SLOTS`, or as many tokens as the role reads."""
    golden = loaded.bundle.golden()
    if role in golden.inputs:
        return loaded.golden_items(role)
    words = " ".join(golden.texts).split() or ["text"]
    words *= -(-SLOTS.stop // len(words))
    counts = np.linspace(SLOTS.start // 2, SLOTS.stop, _COMPARED).astype(int)
    return loaded.fill(role, [" ".join(words[:count]) for count in counts])


def is_same(own: Tower, other: Tower, items: list[Item]) -> bool:
    """Whether two towers give the same bytes for each item by itself."""
    for item in items:
        expected, found = own.values([item], 1), other.values([item], 1)
        if not all(equal(found[name], values) for name, values in expected.items()):
            return False
    return True


def _with(tower: Tower, session: Session) -> Tower:
    return Tower(tower.modality, tower.preparer, session, tower.inputs, tower.outputs, tower.where)
