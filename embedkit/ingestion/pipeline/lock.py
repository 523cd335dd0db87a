"""One ingest at a time into a place: a lock that the operating system drops when its process ends, however it ends.

Two ingests at once into one collection would encode everything twice, and a sync among them would delete what the other
has just written. The lock of a folder, or file, lies in it, or beside it, and so holds for all who can write there; that
of a server lies in the user's cache folder, and holds for this user on this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from embedkit.errors import DiskError, StoreError
from embedkit.stores.guarded import GuardedStore
from embedkit.system import cache


@contextmanager
def one_writer(store: GuardedStore, collection: str) -> Iterator[None]:
    """Hold the lock for the block. Raises `StoreError`, which says who holds it, where it is taken, and `DiskError`
    where it cannot be made.

    A store in memory, and one that was not opened by its URL, has none.
    """
    path = _path(store, collection)
    if path is None:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DiskError(
            f"the lock {path} cannot be made: {error.strerror}; give write access, or set EMBEDKIT_CACHE to a folder that has it",
            error,
        ) from error
    try:
        try:
            _lock(file)
        except OSError:
            raise StoreError(
                f"another ingest{_holder(file)} writes to {_what(store, collection)}; wait until it has ended, or stop it"
            ) from None
        _note(file)
        yield
    finally:
        os.close(file)


def _path(store: GuardedStore, collection: str) -> Path | None:
    address = store.address
    if address is None or address.scheme == "memory" or address.host == ":memory:":
        return None
    scope = f"-{_digest(collection)}" if store.caps.multi_process else ""
    if address.host or not address.path:
        return cache.folder() / "writers" / f"{_digest(address.text)}{scope}.lock"
    place = Path(os.path.abspath(address.path))
    return place / f"embedkit{scope}.lock" if place.is_dir() else place.with_name(f"{place.name}{scope}.lock")


def _what(store: GuardedStore, collection: str) -> str:
    assert store.address is not None
    return f"the collection {collection!r}" if store.caps.multi_process else f"the store {store.address.text!r}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _holder(file: int) -> str:
    try:
        note = json.loads(os.pread(file, 1000, 0) if hasattr(os, "pread") else os.read(file, 1000))
        return f" (process {note['process']} on {note['host']}, since {note['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _note(file: int) -> None:
    note = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    with suppress(OSError):  # a full disk: the lock holds all the same
        os.ftruncate(file, 0)
        os.write(file, json.dumps(note).encode())


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 1 << 30, os.SEEK_SET)  # far behind the note, which others read
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
