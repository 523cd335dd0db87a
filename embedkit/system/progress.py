"""A bar that shows how many items are encoded, or bytes moved."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any


class _Silent:
    """The bar that nobody sees. A first vector does not wait for the import of tqdm (50 ms)."""

    def update(self, n: int = 1) -> None:
        pass


def bar_of(total: int, progress: bool | None, unit: str = "text") -> Any:
    """A bar on stderr for ``total`` items, as a context; None: in a terminal. The unit ``B`` is shown in thousands and millions."""
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    if not progress:
        return nullcontext(_Silent())
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, unit_scale=unit == "B")
