"""A server of files on this machine whose faults are chosen: answers cut short, none at all, no parts of files."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Web(ThreadingHTTPServer):
    """``status`` is that of its refusals. ``parts``: whether it gives parts of files. ``cut`` is
    asked, with a file's name, how many bytes of an answer are sent before
    the connection ends; None: all. ``sent`` counts the bytes of each file."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.status = 404
        self.parts = True
        self.cut: Callable[[str], int | None] = lambda name: None
        self.sent: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, *given: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        name = self.path.lstrip("/")
        try:
            raw = (self.server.folder / name).read_bytes()
        except OSError:
            self.send_response(self.server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "") if self.server.parts else None
        found = raw[int(part[1]) : int(part[2]) + 1 if part[2] else None] if part else raw
        if part and not found:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("Accept-Ranges", "bytes" if self.server.parts else "none")
        if part:
            self.send_header("Content-Range", f"bytes {part[1]}-{int(part[1]) + len(found) - 1}/{len(raw)}")
        self.end_headers()
        if not body:
            return
        end = self.server.cut(name)
        self.server.sent[name] = self.server.sent.get(name, 0) + len(found[:end])
        self.wfile.write(found[:end])
        if end is not None:
            self.close_connection = True


@contextmanager
def web(folder: Path) -> Iterator[Web]:
    server = Web(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
