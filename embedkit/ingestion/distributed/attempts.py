"""How often a row was begun and not ended: by that one is found that ends the process which encodes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

MOST_DEATHS = 2
"""Processes that a row may end while it is encoded by itself; with the one that ended on its block it has ended three then."""


class Attempts(Protocol):
    """Kept where it outlives the workers. It is rows that are counted, since a block that is tried again may have other rows, or these
    in another order."""

    def begin(self, rows: Sequence[bytes]) -> list[int]:
        """Note that the rows of a block are begun; how often each was before without an end. Of those that were, nothing more is
        noted: they are to be begun `alone`."""

    def alone(self, row: bytes) -> int:
        """Note that a row is begun by itself; how often it was before without an end."""

    def end(self, rows: Sequence[bytes]) -> None:
        """Note that rows have ended well."""


class Tries:
    """`Attempts` in this process; it holds the rows that are in hand, and those on which a worker ended."""

    def __init__(self) -> None:
        self._begun: dict[bytes, int] = {}

    def begin(self, rows: Sequence[bytes]) -> list[int]:
        """As `Attempts` says."""
        before = [self._begun.get(row, 0) for row in rows]
        for row in rows:
            self._begun.setdefault(row, 1)
        return before

    def alone(self, row: bytes) -> int:
        """As `Attempts` says."""
        before = self._begun.get(row, 0)
        self._begun[row] = before + 1
        return before

    def end(self, rows: Sequence[bytes]) -> None:
        """As `Attempts` says."""
        for row in rows:
            self._begun.pop(row, None)
