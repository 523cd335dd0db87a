"""A proxy of a server on loopback that does to some requests what networks and overloaded servers do."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Faults:
    """``plan`` is asked about each request (method, path, bytes of its body); it names what is done: ``"pass"``, ``"cut"``
    (the request arrives, half of the answer comes back), ``"drop"`` (the connection is closed unanswered, the request
    does not arrive), ``"hang"`` (nothing, for as long as the test lasts), or a status with its headers."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.plan: Callable[[str, str, int], str | tuple[int, dict[str, str]]] = lambda method, path, size: "pass"
        self.done: list[str] = []
        self.over = threading.Event()


@contextmanager
def faulty_proxy(host: str, port: int) -> Iterator[tuple[int, Faults]]:
    """The proxy's own port, and what it does."""
    faults = Faults(host, port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            what = faults.plan(self.command, self.path, size)
            if what != "pass":
                faults.done.append(str(what))
            if what == "hang":
                faults.over.wait()
                self.close_connection = True
                return
            if what == "drop":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if isinstance(what, tuple):
                status, headers = what
                self.reply(status, b'{"error":"Injected","message":"injected"}', headers)
                return
            link = http.client.HTTPConnection(faults.host, faults.port)
            link.request(self.command, self.path, body, {"Content-Type": "application/json"})
            answer = link.getresponse()
            content = answer.read()
            link.close()
            if what == "cut":
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content) + 1))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.reply(answer.status, content, {"Content-Type": answer.getheader("Content-Type") or "application/json"})

        def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = answer

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, faults
    finally:
        faults.over.set()
        server.shutdown()
        server.server_close()
