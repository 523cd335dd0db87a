"""Which ids a source has, with the hash and the place of each; in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

_VARIABLES = 500


class Ledger:
    """The first row of each id; kept in a temporary database that spills to disk."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, hash TEXT, place TEXT, met INT) WITHOUT ROWID")
        self._rows.execute("CREATE TABLE spared (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._rows.execute("BEGIN")  # of which there is no end: nothing is kept

    def __len__(self) -> int:
        return int(self._rows.execute("SELECT count(*) FROM seen").fetchone()[0])

    def claim(self, row_id: str, digest: str, place: str) -> tuple[str, str] | None:
        """None for the first row of an id, which is noted; for a later one the hash and place of the first."""
        place = place.encode("utf-8", "backslashreplace").decode()  # a path may be no UTF-8
        noted = self._rows.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, 0)", (row_id, digest, place))
        if noted.rowcount:
            return None
        found: tuple[str, str] = self._rows.execute("SELECT hash, place FROM seen WHERE id = ?", (row_id,)).fetchone()
        return found

    def spare(self, row_id: str) -> None:
        """Note an id whose row cannot be used, though the source has it."""
        self._rows.execute("INSERT OR IGNORE INTO spared VALUES (?)", (row_id,))

    def spared(self, ids: Sequence[str]) -> set[str]:
        """Those of ``ids`` that were spared."""
        found = self._among("SELECT id, id FROM spared WHERE id IN", ids)
        return {row_id for row_id, _ in found}

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The hash of each of ``ids`` that was claimed; these count as met from now on."""
        found = dict(self._among("SELECT id, hash FROM seen WHERE id IN", ids))
        list(self._among("UPDATE seen SET met = 1 WHERE id IN", ids))
        return found

    def unmet(self) -> Iterator[tuple[str, str]]:
        """The id and place of each claimed row that `hashes` was never asked for, in the order of their ids."""
        yield from self._rows.execute("SELECT id, place FROM seen WHERE met = 0 ORDER BY id")

    def close(self) -> None:
        """Drop what was noted."""
        self._rows.close()

    def _among(self, statement: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        for start in range(0, len(ids), _VARIABLES):
            part = list(ids[start : start + _VARIABLES])
            yield from self._rows.execute(f"{statement} ({', '.join('?' * len(part))})", part)
