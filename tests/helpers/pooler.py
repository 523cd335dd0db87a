"""A pooler in front of a PostgreSQL server: each transaction of a client gets one of two sessions, by chance, as pgbouncer does in its
transaction mode, so that nothing that a session keeps (prepared statements, settings) is there in the next one."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg import pq

_SSL, _GSS = 80877103, 80877104


@contextmanager
def pooled(conninfo: str) -> Iterator[int]:
    """The loopback port of a pooler over two sessions of the server that ``conninfo`` names."""
    sessions = [pq.PGconn.connect(f"{conninfo} sslmode=disable gssencmode=disable".encode()) for _ in range(2)]
    assert all(session.status == pq.ConnStatus.OK for session in sessions), sessions[0].error_message
    backends = [socket.socket(fileno=os.dup(session.socket)) for session in sessions]
    for backend in backends:
        backend.setblocking(True)
    listener = socket.create_server(("127.0.0.1", 0))
    chance, using = random.Random(0), threading.Lock()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError, ConnectionError):
            _welcome(client)
            while select.select([client], [], []) and client.recv(1, socket.MSG_PEEK) not in (b"", b"X"):
                with using:
                    _transaction(client, chance.choice(backends))

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()
        for session, backend in zip(sessions, backends, strict=True):
            backend.close()
            session.finish()


def _welcome(client: socket.socket) -> None:
    while True:
        (length,) = struct.unpack("!I", _exactly(client, 4))
        (code,) = struct.unpack("!I", _exactly(client, length - 4)[:4])
        if code not in (_SSL, _GSS):
            break
        client.sendall(b"N")
    said = [b"server_version\0" + b"18.3\0", b"client_encoding\0UTF8\0", b"standard_conforming_strings\0on\0"]
    parts = [(b"R", struct.pack("!I", 0)), *((b"S", one) for one in said), (b"K", bytes(8)), (b"Z", b"I")]
    client.sendall(b"".join(kind + struct.pack("!I", len(body) + 4) + body for kind, body in parts))


def _transaction(client: socket.socket, backend: socket.socket) -> None:
    """Hand on what both say until the backend is idle again, outside of any transaction."""
    said = b""
    while True:
        for ready in select.select([client, backend], [], [])[0]:
            found = ready.recv(1 << 16)
            if not found:
                raise ConnectionError
            if ready is client:
                backend.sendall(found)
                continue
            client.sendall(found)
            said += found
            while len(said) >= 5 and len(said) >= 1 + (size := struct.unpack("!I", said[1:5])[0]):
                message, said = said[: 1 + size], said[1 + size :]
                if message[:1] == b"Z" and message[5:] == b"I":
                    return


def _exactly(link: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = link.recv(size - len(found))
        if not more:
            raise ConnectionError
        found += more
    return found
