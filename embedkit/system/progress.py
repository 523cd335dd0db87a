"""A bar that shows how many items are encoded."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any


class _Silent:
    """The bar that nobody sees. A first vector does not wait for the import of tqdm (50 ms)."""

    def update(self, n: int = 1) -> None:
        pass


def bar_of(total: int, progress: bool | None) -> Any:
    """A bar on stderr for ``total`` items, as a context; None: in a terminal."""
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    if not progress:
        return nullcontext(_Silent())
    from tqdm import tqdm

    return tqdm(total=total, unit="text")
