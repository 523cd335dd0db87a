"""A hub of models on this machine, as far as bundles are pulled from it and pushed to it: repositories of one branch in memory."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

_REPOSITORY = re.compile(
    r"/api/models/([^/]+/[^/?]+)(?:/(revision|paths-info|preupload|commit|tree)/([^/?]+))?(?:/([^?]*))?"
)
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub(ThreadingHTTPServer):
    """``files`` of each repository by their path, ``commits`` a list of the names in each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[list[str]] = []
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *given: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        path = unquote(self.path)
        if match := _REPOSITORY.match(path):
            if match[2] == "tree" and match[1] in self.server.files:
                start = f"{match[4]}/" if match[4] else ""
                kept = self.server.files[match[1]]
                return self._json(
                    200, [self._entry(name, kept[name]) for name in sorted(kept) if name.startswith(start)]
                )
            return self._about(match[1])
        return self._file(body=True)

    def do_POST(self) -> None:
        raw = self._body()
        path = unquote(self.path)
        if path == "/api/repos/create":
            asked = json.loads(raw)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            if name in self.server.files:
                return self._json(409, {"error": "it is there", "url": f"http://{self.headers['Host']}/{name}"})
            self.server.files[name], self.server.private[name] = {}, asked.get("visibility") == "private"
            return self._json(200, {"url": f"http://{self.headers['Host']}/{name}"})
        match = _REPOSITORY.match(path)
        if match is None or match[1] not in self.server.files:
            return self._missing("RepoNotFound")
        kept = self.server.files[match[1]]
        if match[2] == "paths-info":
            asked = (
                json.loads(raw)
                if raw.startswith(b"{")
                else {"paths": [unquote(p.partition("=")[2]) for p in raw.decode().split("&")]}
            )
            return self._json(200, [self._entry(path, kept[path]) for path in asked["paths"] if path in kept])
        if match[2] == "preupload":
            files = json.loads(raw)["files"]
            return self._json(
                200, {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
            )
        return self._commit(kept, raw)

    def _commit(self, kept: dict[str, bytes], raw: bytes) -> None:
        names = []
        for line in map(json.loads, raw.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                kept[value["path"]] = base64.b64decode(value["content"])
                names.append(value["path"])
            elif line["key"] == "deletedFile":
                del kept[value["path"]]
                names.append(f"-{value['path']}")
        self.server.commits.append(names)
        self._json(
            200,
            {
                "commitOid": "0" * 40,
                "commitUrl": f"http://{self.headers['Host']}/me/it/commit/{'0' * 40}",
                "success": True,
            },
        )

    def _about(self, name: str) -> None:
        if name not in self.server.files:
            return self._missing("RepoNotFound")
        return self._json(
            200, {"id": name, "modelId": name, "sha": "0" * 40, "private": False, "siblings": [], "tags": []}
        )

    def _file(self, *, body: bool) -> None:
        match = _FILE.match(unquote(self.path).partition("?")[0])
        if match is None or match[1] not in self.server.files:
            return self._missing("RepoNotFound")
        raw = self.server.files[match[1]].get(match[3])
        if raw is None:
            return self._missing("EntryNotFound")
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        self.server.asked.append(f"{match[3]} {self.headers.get('Range')}")
        found = raw[int(part[1]) : int(part[2]) + 1 if part[2] else None] if part else raw
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("ETag", f'"{hash(raw)}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        if part:
            self.send_header("Content-Range", f"bytes {part[1]}-{int(part[1]) + len(found) - 1}/{len(raw)}")
        self.end_headers()
        if body:
            self.wfile.write(found)
        return None

    def _entry(self, path: str, raw: bytes) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(raw), "oid": "0" * 40}

    def _missing(self, code: str) -> None:
        self._json(404, {"error": code}, {"X-Error-Code": code})

    def _json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        for name, told in {
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
            **(headers or {}),
        }.items():
            self.send_header(name, told)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found


@contextmanager
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
