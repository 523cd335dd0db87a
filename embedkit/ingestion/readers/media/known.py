"""What is known of files of pictures and sounds that were read before, kept in the user's cache folder: a file of the same size and
times is not read again. Losing it costs time only."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from embedkit.system.cache import folder

Facts: TypeAlias = dict[str, Any]
"""JSON values by name."""

_FILE = "media.sqlite"
_MOST = 1_000_000
"""Files, of which the last that were met are kept."""
_SETTLED = 2.0
"""Seconds after which a file that is changed again has another time, on all file systems."""


def facts_of(path: str, wanted: str, make: Callable[[], Facts]) -> Facts:
    """What ``make`` tells of a file, or told of it when it was last read, where it has the same size and times since. ``wanted`` says
    what is asked for. What ``make`` raises is raised, and not kept."""
    state = _state(path)
    kept = _kept(folder())
    if state is None or kept is None:
        return make()
    if (found := kept.get(path, wanted, state)) is not None:
        return found
    facts = make()
    if _state(path) == state and time.time() - max(state["times"]) / 1e9 > _SETTLED:
        kept.put(path, wanted, state, facts)
    return facts


def _state(path: str) -> dict[str, Any] | None:
    """What is another where a file was changed; None where there is no such file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return {
        "size": found.st_size,
        "times": [found.st_mtime_ns, found.st_ctime_ns],
        "file": [found.st_dev, found.st_ino],
    }


@cache
def _kept(place: Path) -> _Kept | None:
    with suppress(sqlite3.Error, OSError):
        return _Kept(place)
    return None


class _Kept:
    """A table of files. Several threads and processes may share it; what cannot be read or written is not known."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._table = sqlite3.connect(place / _FILE, timeout=1, isolation_level=None, check_same_thread=False)
        self._table.execute("PRAGMA journal_mode = WAL")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute(
            "CREATE TABLE IF NOT EXISTS files (path TEXT, wanted TEXT, state TEXT, facts TEXT, PRIMARY KEY (path, wanted))"
        )
        self._table.execute("DELETE FROM files WHERE rowid <= (SELECT max(rowid) FROM files) - ?", (_MOST,))

    def get(self, path: str, wanted: str, state: Mapping[str, Any]) -> Facts | None:
        """The facts of a file in this state; None where there are none."""
        with self._lock, suppress(sqlite3.Error, ValueError):  # a path that is no text, or a broken row
            row = self._table.execute(
                "SELECT facts FROM files WHERE path = ? AND wanted = ? AND state = ?",
                (os.path.abspath(path), wanted, json.dumps(state)),
            ).fetchone()
            found = json.loads(row[0]) if row is not None else None
            return found if isinstance(found, dict) else None
        return None

    def put(self, path: str, wanted: str, state: Mapping[str, Any], facts: Facts) -> None:
        """Keep the facts of a file."""
        with self._lock, suppress(sqlite3.Error, UnicodeEncodeError):  # a path that is no text
            self._table.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                (os.path.abspath(path), wanted, json.dumps(state), json.dumps(facts)),
            )
