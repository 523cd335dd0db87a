"""Which ids a run has met already, in bounded memory."""

from __future__ import annotations

import sqlite3


class FirstSeen:
    """The first content and place of each id; kept in a temporary database that spills to disk."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, hash TEXT, place TEXT) WITHOUT ROWID")

    def claim(self, row_id: str, digest: str, place: str) -> tuple[str, str] | None:
        """None for the first row of an id, which is noted; for a later one the hash and place of the first."""
        noted = self._rows.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (row_id, digest, place))
        if noted.rowcount:
            return None
        found: tuple[str, str] = self._rows.execute("SELECT hash, place FROM seen WHERE id = ?", (row_id,)).fetchone()
        return found

    def close(self) -> None:
        """Drop what was noted."""
        self._rows.close()
