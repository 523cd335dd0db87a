"""How often something was begun and not ended: by that a row is found that ends the process which encodes it."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

MOST_DEATHS = 2
"""Processes that a row may end while it is encoded by itself; with the one that ended on its block it has ended three then."""


class Attempts(Protocol):
    """Kept where it outlives the workers."""

    def begin(self, key: str) -> int:
        """Note that ``key`` is begun; how often it was before without an end."""

    def end(self, key: str) -> None:
        """Note that ``key`` has ended well."""


class Tries:
    """`Attempts` in this process."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, key: str) -> int:
        """As `Attempts` says."""
        before = self._begun[key]
        self._begun[key] += 1
        return before

    def end(self, key: str) -> None:
        """As `Attempts` says."""
        self._begun.pop(key, None)
