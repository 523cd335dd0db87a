"""The file of kept vectors: a table of SQLite, which threads and processes share."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from embedkit.errors import DiskError

_DAY = 86_400
_ASKED = 500
"""Keys in one question, below what every SQLite takes."""
_CHECKED = 64
"""After so many writes the size is looked at."""
_LEFT = 0.9


class CacheFile:
    """Bytes by key, at most ``max_bytes`` of them: then those go that were not asked for in the most days. Losing it costs time only,
    so a file that is damaged or full is no error once it is open; a place that cannot be written is one at once."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._lock = threading.Lock()
        self._writes = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._table = self._opened()
        except sqlite3.DatabaseError:
            with suppress(OSError):
                path.unlink()
            try:
                self._table = self._opened()
            except sqlite3.Error as error:
                raise DiskError(f"{path}: cannot keep vectors there ({error}); name another file") from error
        except OSError as error:
            raise DiskError(
                f"{path}: cannot keep vectors there ({error.strerror}); name another file", error
            ) from error

    def find(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is kept under the keys."""
        today = int(time.time() // _DAY)
        found: dict[bytes, bytes] = {}
        with self._lock, suppress(sqlite3.Error):
            for start in range(0, len(keys), _ASKED):
                part = list(keys[start : start + _ASKED])
                marks = ",".join("?" * len(part))
                rows = self._table.execute(f"SELECT key, value, day FROM kept WHERE key IN ({marks})", part).fetchall()
                found.update((key, value) for key, value, _ in rows)
                old = [key for key, _, day in rows if day != today]
                if old:
                    self._table.executemany("UPDATE kept SET day = ? WHERE key = ?", [(today, key) for key in old])
                    self._table.commit()
        return found

    def keep(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values."""
        today = int(time.time() // _DAY)
        with self._lock, suppress(sqlite3.Error):
            rows = [(key, value, today) for key, value in values.items()]
            self._table.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", rows)
            self._writes += 1
            if self._writes % _CHECKED == 1:
                self._shrink()
            self._table.commit()

    def close(self) -> None:
        """Close the file. May be called again."""
        with self._lock:
            with suppress(sqlite3.Error):
                self._shrink()
                self._table.commit()
            self._table.close()

    def _shrink(self) -> None:
        (total,) = self._table.execute("SELECT coalesce(sum(length(value)), 0) FROM kept").fetchone()
        if total <= self.max_bytes:
            return
        size = 0
        gone: list[tuple[bytes]] = []
        for key, length in self._table.execute("SELECT key, length(value) FROM kept ORDER BY day, rowid"):
            gone.append((key,))
            size += length
            if total - size <= self.max_bytes * _LEFT:
                break
        self._table.executemany("DELETE FROM kept WHERE key = ?", gone)

    def _opened(self) -> sqlite3.Connection:
        table = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
        try:
            table.execute("PRAGMA journal_mode = WAL")
            table.execute("PRAGMA synchronous = NORMAL")
            table.execute(
                "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value BLOB NOT NULL, day INTEGER NOT NULL)"
            )
            table.commit()
        except sqlite3.Error:
            table.close()
            raise
        return table
