"""A bar that shows how many items are encoded."""

from __future__ import annotations

from typing import Any


def bar_of(total: int, progress: bool | None) -> Any:
    """A bar on stderr for ``total`` items, as a context; None: in a terminal."""
    from tqdm import tqdm

    return tqdm(total=total, unit="text", disable=None if progress is None else not progress)
