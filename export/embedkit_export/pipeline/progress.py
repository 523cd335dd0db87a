"""The steps of an export, told on standard error while they go, with what is about left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

SHARES = {
    "encode with torch": 1.0,
    "write fp32": 0.2,
    "verify fp32": 1.2,
    "write fp16": 0.4,
    "verify fp16": 1.2,
    "write int8": 2.0,
    "verify int8": 1.0,
    "write w8": 2.0,
    "verify w8": 1.5,
    "write w4": 3.0,
    "verify w4": 1.5,
    "draw the report": 0.3,
}
"""How long the steps take that grow with the model and the sample, the first being 1: rounded from exports of 12 and 24 layers.
A variant that fails its gate takes longer, for it is tried in other forms."""
_LEAST = 10
"""Seconds of which it is not worth to tell that they are left."""


class Steps:
    """The export's steps: a progress bar where standard error is a terminal, else a line a step, once it is over, with
    the seconds that it took. A context manager; with ``shown=False`` it says nothing.

    ``plan`` names the steps that are to come. What is left is told from the first of `SHARES` on: the shares of those to come, at
    the pace of those that are over.
    """

    def __init__(self, shown: bool, plan: Sequence[str]) -> None:
        from tqdm import tqdm

        bar = shown and sys.stderr.isatty()
        self._bar = tqdm(total=len(plan), disable=not bar, bar_format="{percentage:3.0f}%|{bar:20}| {elapsed} {desc}")
        self._lines = shown and not bar
        self._name: str | None = None
        self._began = 0.0
        self._todo = list(plan)
        self._took: dict[str, float] = {}
        self._timed = True

    def __call__(self, name: str, *, again: bool = False) -> None:
        """Begin the step ``name``, which ends the one before; ``again`` where it is part of the one before."""
        self._end()
        if name in self._todo:
            del self._todo[: self._todo.index(name)]
        self._bar.set_description_str(name + (self._left() if name in SHARES else ""), refresh=False)
        self._bar.update(int(self._name is not None and not again))
        self._bar.refresh()
        self._name, self._began, self._timed = name, time.monotonic(), True

    def untimed(self) -> None:
        """The running step takes over what is known already: its time says nothing of the others."""
        self._timed = False

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end()
            self._bar.set_description_str("done", refresh=False)
            self._bar.update((self._bar.total or 0) - self._bar.n)
            self._bar.refresh()
        else:
            self._end(failed=True)
        self._bar.close()

    def _end(self, *, failed: bool = False) -> None:
        """Tell the step that is over: one whole line at its end, so that nothing a library prints can cut it."""
        if self._name is None:
            return
        took = time.monotonic() - self._began
        if self._name in self._todo:
            self._todo.remove(self._name)
        if self._timed and self._name in SHARES:
            self._took[self._name] = took
        if self._lines:
            after, left = ("stopped after ", "") if failed else ("", self._left() if self._name in SHARES else "")
            print(f"{self._name} ... {after}{took:.1f} s{left}", file=sys.stderr, flush=True)

    def _left(self) -> str:
        """What is about left when no step runs, where that is known and worth telling."""
        known = sum(SHARES[name] for name in self._took)
        if not known:
            return ""
        seconds = sum(self._took.values()) / known * sum(SHARES.get(name, 0.0) for name in self._todo)
        if seconds < _LEAST:
            return ""
        told = f"{round(seconds, -1):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
        return f", about {told} left"
