"""milvus-lite over a folder: its server runs in this process, on a loopback port, once for all that open the folder.

It writes to a collection from one thread only, so it is given one. A second process is refused by its lock.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from milvus_lite.adapter.grpc.server import start_server_in_thread
from milvus_lite.exceptions import DataDirLockedError

from embedkit.stores import StoreError

from . import CAPABILITIES, FOLDER
from ._store import MilvusStore, connect

_GRACE_SECONDS = 5


@dataclass
class _Running:
    server: Any
    database: Any
    port: int
    users: int = 0


_running: dict[str, _Running] = {}
_changing = threading.Lock()


def open_folder(path: str) -> MilvusStore:
    """The store in a folder, which is made if it is not there."""
    with _changing:
        if path not in _running:
            _running[path] = _start(path)
        running = _running[path]
        running.users += 1
    try:
        client = connect(f"http://127.0.0.1:{running.port}")
    except BaseException:
        _leave(path)
        raise

    def close() -> None:
        client.close()
        _leave(path)

    return MilvusStore(client, CAPABILITIES[FOLDER], "FLAT", close)


def _start(path: str) -> _Running:
    try:
        return _Running(*start_server_in_thread(path, host="127.0.0.1", max_workers=1))
    except DataDirLockedError as error:
        raise StoreError(
            f"opening the folder {path!r}: another process, or another client of this one, has it open; close that first, "
            "or use a Milvus server"
        ) from error
    except Exception as error:
        raise StoreError(
            f"opening the folder {path!r}: {type(error).__name__}: {error}; look whether it is a folder of milvus-lite that "
            "may be written, or use another"
        ) from error


def _leave(path: str) -> None:
    with _changing:
        running = _running[path]
        running.users -= 1
        if not running.users:
            del _running[path]
            running.server.stop(_GRACE_SECONDS).wait()
            running.database.close()
