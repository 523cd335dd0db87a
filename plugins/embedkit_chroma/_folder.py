"""A Chroma folder that survives a kill.

Chroma writes a collection's vector index into several files, in place, every thousand rows or so; a process that is killed
just then leaves files that do not fit together, which answer wrongly or not at all. Its log of writes is in SQLite, where a
kill harms nothing, but by default it is emptied once the index is written. So the log is kept, and a folder whose last
writer did not close it has its indexes made again from the log.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from embedkit.stores import StoreError, is_alive

_DATABASE, _MARK = "chroma.sqlite3", "embedkit.open"
_open: dict[str, int] = {}
"""How often this process has each folder open."""
_counting = threading.Lock()
_process: int | None = None
"""The process that opened a folder first: a child that it forked has Chroma's engine without its threads, and would wait for
ever."""
_KEEP_LOG = '{"automatically_purge":false,"_type":"EmbeddingsQueueConfigurationInternal"}'


def database_of(folder: str) -> Path:
    """The file of the folder that has the log."""
    return Path(folder, _DATABASE)


def recover(folder: str) -> None:
    """Make the indexes again of a folder that was left open by a process that is there no more, of the collections whose log
    is whole: one that was begun without embedkit may have lost its own. To be called before Chroma opens the folder."""
    mark = Path(folder, _MARK)
    if not mark.exists() or is_alive(mark.read_text()):
        return
    if Path(folder, _DATABASE).exists():
        with _database(folder) as database:
            for (segment,) in database.execute("SELECT id FROM segments WHERE scope = 'VECTOR'").fetchall():
                if _is_whole(database, segment):
                    database.execute("DELETE FROM max_seq_id WHERE segment_id = ?", [segment])
                    shutil.rmtree(Path(folder, segment), ignore_errors=True)
    mark.unlink()


def require_same_process(what: str) -> None:
    """Raise `StoreError` in a process that was forked from one that had a folder open."""
    global _process
    with _counting:
        _process = _process or os.getpid()
    if not is_same_process():
        raise StoreError(
            f"{what}: Chroma was opened by process {_process}, of which this one is a fork, where it cannot work; open the folder "
            "after the fork only, start processes with 'spawn', or use a Chroma server"
        )


def is_same_process() -> bool:
    """Whether this process is the one that opened a folder first."""
    return _process in (None, os.getpid())


def keep_log(folder: str) -> None:
    """Let Chroma keep its log of writes; to be called once it has made the folder."""
    with _database(folder) as database:
        database.execute(
            "INSERT OR REPLACE INTO embeddings_queue_config (id, config_json_str) VALUES (1, ?)", [_KEEP_LOG]
        )


def opened(folder: str) -> None:
    """Note that this process has the folder open, until `closed` was called as often, or it ends by itself."""
    with _counting:
        _open[folder] = _open.get(folder, 0) + 1
        mark = Path(folder, _MARK)
        if not mark.exists():
            mark.write_text(str(os.getpid()))


def closed(folder: str) -> None:
    """Note that one who had the folder open has closed it."""
    with _counting:
        _open[folder] = _open.get(folder, 1) - 1
        if not _open[folder]:
            del _open[folder]
            _unmark(folder)


@atexit.register
def _ended() -> None:
    """A process that ends by itself has written what it had begun."""
    for folder in list(_open):
        _unmark(folder)


def _unmark(folder: str) -> None:
    mark = Path(folder, _MARK)
    with suppress(OSError):
        if mark.read_text() == str(os.getpid()):
            mark.unlink()


def _is_whole(database: sqlite3.Connection, segment: str) -> bool:
    """Whether the log has a vector for each row of the segment's collection."""
    missing = database.execute(
        "SELECT embedding_id FROM embeddings JOIN segments ON segments.id = embeddings.segment_id "
        "WHERE segments.collection = (SELECT collection FROM segments WHERE id = ?1) EXCEPT SELECT id FROM embeddings_queue "
        "WHERE vector IS NOT NULL AND topic LIKE '%/' || (SELECT collection FROM segments WHERE id = ?1) LIMIT 1",
        [segment],
    )
    return missing.fetchone() is None


@contextmanager
def _database(folder: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database_of(folder), timeout=30)) as database, database:
        yield database
