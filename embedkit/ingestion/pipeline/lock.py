"""One ingest at a time into a place: a lock that the operating system drops when its process ends, however it ends.

Two ingests at once into one collection would encode everything twice, and a sync among them would delete what the other
has just written. The lock of a folder lies in it, and so holds for all who can write there. That of a store which is one
file, or a server, lies in the user's cache folder, and holds for this user on this machine: nothing is left beside the
user's file. A lock's file stays, since one that is removed while another waits for it locks nobody out.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from embedkit.errors import DiskError, StoreError
from embedkit.stores.guarded import GuardedStore
from embedkit.system import cache


@contextmanager
def one_writer(store: GuardedStore, *collections: str) -> Iterator[None]:
    """Hold the locks of some collections for the block, of those that their names lead to. Raises `StoreError`, which says who holds
    it, where one is taken, and `DiskError` where one cannot be made.

    Who lets a name lead to another collection holds the lock of the one that it led to: within the block it stays what it is. A store
    in memory, and one that was not opened by its URL, has none.
    """
    while True:
        meant = [store.resolve(name) for name in collections]
        with ExitStack() as held:
            for path, name in {path: name for name in meant if (path := _path(store, name))}.items():
                held.enter_context(_locked(path, _what(store, name)))
            if meant == [store.resolve(name) for name in collections]:
                yield
                return


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    lock = FileLock(path, timeout=0, thread_local=False)
    note = path.with_suffix(".holder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise StoreError(
            f"another ingest{_holder(note)} writes to {what}; wait until it has ended, or stop it"
        ) from None
    except OSError as error:
        raise DiskError(
            f"the lock {path} cannot be made: {error.strerror}; give write access, or set EMBEDKIT_CACHE to a folder that has it",
            error,
        ) from error
    try:
        _write(note)
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()


def _path(store: GuardedStore, collection: str) -> Path | None:
    address = store.address
    if address is None or address.scheme == "memory" or address.host == ":memory:":
        return None
    scope = f"-{_digest(collection)}" if store.caps.multi_process else ""
    place = address.text
    if address.path and not address.host:
        place = os.path.realpath(address.path)
        if os.path.isdir(place):
            return Path(place, f"embedkit{scope}.lock")
    return cache.folder() / "writers" / f"{_digest(place)}{scope}.lock"


def _what(store: GuardedStore, collection: str) -> str:
    assert store.address is not None
    return f"the collection {collection!r}" if store.caps.multi_process else f"the store {store.address.text!r}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _holder(note: Path) -> str:
    """Who holds the lock, by the note beside it, in which a process that was killed may still stand."""
    try:
        told = json.loads(note.read_bytes())
        return f" (process {told['process']} on {told['host']}, since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _write(note: Path) -> None:
    told = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with suppress(OSError):  # a full disk: the lock holds all the same
        note.write_text(json.dumps(told), encoding="utf-8")
