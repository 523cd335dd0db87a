"""A server of embeddings on a real port, as embedkit's speaks (``/v1/models`` with a fingerprint, roles, base64, ``/rerank``) or as
others do, that can be told to fail."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from embedkit import Encoder


class EmbeddingServer:
    """What it serves, what it was asked, and what goes wrong with the next requests.

    ``failures`` are (status, headers) of the next answers to POST, or ``None`` for a connection that is cut. ``most`` is how many
    texts it takes in a request, ``refused`` texts for which it has a 400, ``key`` what it wants as Bearer.
    """

    def __init__(self, encoder: Encoder, *, own: bool = True, models: Mapping[str, Encoder] | None = None) -> None:
        self.models = dict(models or {"tiny": encoder})
        self.own, self.base64, self.key, self.listed = own, True, "", True
        self.most: int | None = None
        self.refused: set[str] = set()
        self.failures: deque[tuple[int, dict[str, str]] | None] = deque()
        self.asked: list[dict[str, Any]] = []
        self.connections = 0
        self.noise = 0.0
        self.redirect = ""
        self.echo_key = False

    def models_listed(self) -> list[dict[str, Any]]:
        found = []
        for name, encoder in self.models.items():
            entry: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "someone"}
            if self.own:
                entry |= {
                    "owned_by": "embedkit",
                    "kind": encoder.kind,
                    "dim": encoder.dim,
                    "max_tokens": encoder.max_tokens,
                    "fingerprint": encoder.fingerprint,
                    "variant": encoder.variant,
                    "engine": encoder.engine,
                    "roles": encoder.roles,
                }
            found.append(entry)
            if self.own:
                found += [entry | {"id": f"{name}:{role}"} for role in ("query", "document")]
        return found

    def embeddings(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        given = body["input"]
        items = [given] if isinstance(given, str | dict) else list(given)
        if self.most is not None and len(items) > self.most:
            return 422, {"error": f"batch size {len(items)} > {self.most}", "error_type": "validation"}
        for item in items:
            if item in self.refused:
                return 400, {
                    "error": {"message": f"cannot encode {item!r}", "type": "invalid_request_error", "param": "input"}
                }
        if body.get("encoding_format") == "base64" and not self.base64:
            return 400, {"error": {"message": "encoding_format must be float"}}
        name, _, named = body["model"].partition(":") if self.own else (body["model"], "", "")
        if name not in self.models:
            return 404, {"error": {"message": f"no model {body['model']!r}", "code": "model_not_found"}}
        encoder = self.models[name]
        role = body.get("role") or named or "default"
        before = encoder.stats.truncated
        found = encoder.encode(items, role=role, output=body.get("output"), on_truncate="ignore")
        if body.get("dimensions"):
            found = encoder.encode(items, role=role, dim=body["dimensions"], on_truncate="ignore")
        data = []
        for i, row in enumerate(found):
            if isinstance(row, tuple):
                embedding: Any = {"indices": row[0].tolist(), "values": row[1].tolist()}
            elif row.ndim == 2:
                embedding = row.tolist()
            else:
                row = row + np.random.default_rng().normal(0, self.noise, row.shape) if self.noise else row
                embedding = row.tolist()
                if body.get("encoding_format") == "base64":
                    embedding = base64.b64encode(np.ascontiguousarray(row, "<f4").tobytes()).decode()
            data.append({"object": "embedding", "index": i, "embedding": embedding})
        usage: dict[str, Any] = {"prompt_tokens": len(items), "total_tokens": len(items)}
        if self.own and encoder.stats.truncated > before:
            usage["truncated_texts"] = encoder.stats.truncated - before
        data.reverse()  # a client goes by the index
        return 200, {"object": "list", "data": data, "model": body["model"], "usage": usage}

    @staticmethod
    def rerank(body: Mapping[str, Any]) -> tuple[int, Any]:
        """By how many letters a document shares with the query."""
        scores = [len({*body["query"]} & {*text}) / 26 for text in body["documents"]]
        results = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
        return 200, {"id": "1", "results": sorted(results, key=lambda one: -one["relevance_score"])}


def _handler(server: EmbeddingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self._allowed():
                if server.listed and self.path == "/v1/models":
                    self._answer(200, {"object": "list", "data": server.models_listed()})
                else:
                    self._answer(404, {"error": {"message": "no such route"}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.asked.append(body | {"path": self.path, "authorization": self.headers.get("authorization")})
            if not self._allowed():
                return
            if server.failures:
                failure = server.failures.popleft()
                if failure is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                self._answer(failure[0], {"error": {"message": "try again"}}, failure[1])
                return
            route = {"/v1/embeddings": server.embeddings, "/v1/rerank": server.rerank}.get(self.path)
            self._answer(*(route(body) if route else (404, {"error": {"message": "no such route"}})))

        def _allowed(self) -> bool:
            if server.redirect:
                self._answer(307, {}, {"location": server.redirect})
                return False
            given = self.headers.get("authorization")
            if server.key and given != f"Bearer {server.key}":
                said = f"wrong key: {given}" if server.echo_key else "wrong key"
                self._answer(401, {"error": {"message": said}})
                return False
            return True

        def _answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    return Handler


@contextmanager
def serving(server: EmbeddingServer) -> Iterator[str]:
    """The address at which it answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as httpd:
        httpd.daemon_threads = True
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_address[1]}/v1"
        finally:
            httpd.shutdown()
            thread.join()
