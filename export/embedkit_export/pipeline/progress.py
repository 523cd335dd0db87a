"""The steps of an export, told on standard error while they go."""

from __future__ import annotations

import sys
import time


class Steps:
    """The export's steps: a progress bar where standard error is a terminal, else a line a step, once it is over, with
    the seconds that it took. A context manager; with ``shown=False`` it says nothing.

    ``total`` is the number of steps, which only the bar needs.
    """

    def __init__(self, shown: bool, total: int) -> None:
        from tqdm import tqdm

        bar = shown and sys.stderr.isatty()
        self._bar = tqdm(total=total, disable=not bar, bar_format="{percentage:3.0f}%|{bar:20}| {elapsed} {desc}")
        self._lines = shown and not bar
        self._name: str | None = None
        self._began = 0.0

    def __call__(self, name: str, *, again: bool = False) -> None:
        """Begin the step ``name``, which ends the one before; ``again`` where it is part of the one before."""
        self._end()
        self._bar.set_description_str(name, refresh=False)
        self._bar.update(int(self._name is not None and not again))
        self._bar.refresh()
        self._name, self._began = name, time.monotonic()

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
        if self._lines and self._name is not None:
            after = "stopped after " if failed else ""
            print(f"{self._name} ... {after}{time.monotonic() - self._began:.1f} s", file=sys.stderr, flush=True)
