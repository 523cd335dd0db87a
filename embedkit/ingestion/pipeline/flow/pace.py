"""How many rows a window has: as many as were asked for, or by how long the ones before took."""

from __future__ import annotations

_FIRST, _MOST = 128, 2048
_SECONDS, _BYTES = 4.0, 1 << 25


class Pace:
    """Windows of ``rows``; where that is None, of few at first, twice as many after one that took little time and memory, and
    half as many after one that took much.

    So a slow model is seen to go on, and loses little when it is stopped, while a fast one sorts more texts by their lengths
    and asks the store less often.
    """

    def __init__(self, rows: int | None) -> None:
        self.fixed = rows is not None
        self.rows = rows or _FIRST

    def __call__(self) -> int:
        """The rows of the next window."""
        return self.rows

    def took(self, rows: int, seconds: float, size: int) -> None:
        """Learn from a window: its rows that were worked on, the seconds that this took, and the bytes of their vectors."""
        if self.fixed or not rows:
            return
        scale = self.rows / rows  # there may be less, where texts are long, or not all are new
        used = max(seconds * scale / _SECONDS, size * scale / _BYTES)
        if used <= 1 and 2 * rows > self.rows:
            self.rows = min(2 * self.rows, _MOST)
        elif used > 4:
            self.rows = max(self.rows // 2, 1)
