"""A stand-in for a Qdrant server: its REST endpoints over a `QdrantClient(":memory:")`, as strict as the engine; and
faults."""

from __future__ import annotations

import json
import math
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.models import models as rest

Fault = tuple[int, dict[str, str], str]
CUT: Fault = (0, {}, "")
HUNG: Fault = (-1, {}, "")
"""Answered by nothing, for as long as the server runs."""


class StandIn:
    """The server's state: ``faults`` maps a pattern of "METHOD path" to the answers to give instead, each once."""

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.lock = threading.Lock()
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.forgets_metadata = False
        self.ended = threading.Event()

    def fault(self, request: str) -> Fault | None:
        for pattern, answers in self.faults.items():
            if answers and re.search(pattern, request):
                return answers.pop(0)
        return None

    def answer(self, method: str, path: str, body: Any) -> Any:
        """The ``result`` of a request; raises KeyError for 404 and ValueError for 400."""
        client, parts = self.client, path.strip("/").split("/")
        if parts == ["collections"]:
            return client.get_collections().model_dump()
        name, rest_of_path = parts[1], "/".join(parts[2:])
        if not re.fullmatch(r'[^<>:"/\\|?*\0\x1f]{1,255}', name):
            raise ValueError(f"illegal collection name {name!r}")
        exists = client.collection_exists(name)
        if rest_of_path == "exists":
            return {"exists": exists}
        if (method, rest_of_path) == ("PUT", ""):
            spec = models.CreateCollection.model_validate(body)
            if exists:
                raise FileExistsError(name)
            kept = None if self.forgets_metadata else spec.metadata
            return client.create_collection(
                name, vectors_config=spec.vectors, sparse_vectors_config=spec.sparse_vectors, metadata=kept
            )
        if (method, rest_of_path) == ("DELETE", ""):
            return client.delete_collection(name)
        if not exists:
            raise KeyError(f"Collection `{name}` doesn't exist!")
        if (method, rest_of_path) == ("GET", ""):
            return client.get_collection(name).model_dump(mode="json")
        return self.points(method, rest_of_path, name, body)

    def points(self, method: str, path: str, name: str, body: Any) -> Any:
        client = self.client
        if (method, path) == ("PUT", "points"):
            points = rest.PointsList.model_validate(body).points
            for point in points:
                uuid.UUID(str(point.id))
                assert isinstance(point.vector, list | dict)
                if isinstance(point.vector, list) and not all(math.isfinite(x) for x in point.vector):
                    raise ValueError("vector is not finite")
            return client.upsert(name, points=points, wait=True).model_dump(mode="json")
        if path == "points":
            asked = rest.PointRequest.model_validate(body)
            found = client.retrieve(
                name, asked.ids, with_payload=asked.with_payload, with_vectors=asked.with_vector or False
            )
            return [record.model_dump(mode="json") for record in found]
        if path == "points/scroll":
            scroll = rest.ScrollRequest.model_validate(body)
            records, after = client.scroll(
                name, scroll.filter, limit=scroll.limit, offset=scroll.offset, with_payload=scroll.with_payload
            )
            return {"points": [record.model_dump(mode="json") for record in records], "next_page_offset": after}
        if path == "points/count":
            count = rest.CountRequest.model_validate(body)
            return client.count(name, count.filter, exact=bool(count.exact)).model_dump()
        if path == "points/delete":
            return client.delete(name, rest.FilterSelector.model_validate(body)).model_dump(mode="json")
        if path == "points/query/batch":
            queries = rest.QueryRequestBatch.model_validate(body).searches
            return [answer.model_dump(mode="json") for answer in client.query_batch_points(name, queries)]
        raise NotImplementedError(f"{method} {path}")


@contextmanager
def stand_in() -> Iterator[tuple[StandIn, str]]:
    """A running stand-in and its store URL."""
    state = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            state.requests.append((f"{self.command} {self.path}", dict(self.headers)))
            status, headers, text = state.fault(f"{self.command} {path}") or (200, {}, "")
            if status <= 0:
                if status < 0:
                    state.ended.wait()
                self.connection.close()
                return
            if status == 200:
                status, text = self.result(path, content)
            self.send_response(status)
            for key, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(text.encode())),
                **headers,
            }.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def result(self, path: str, content: bytes) -> tuple[int, str]:
            try:
                with state.lock:
                    found = state.answer(self.command, path, json.loads(content) if content else None)
            except Exception as error:
                status = {KeyError: 404, FileExistsError: 409, NotImplementedError: 501}.get(type(error), 400)
                return status, json.dumps({"status": {"error": str(error)}, "time": 0.0})
            return 200, json.dumps({"result": found, "status": "ok", "time": 0.0}, allow_nan=False)

        do_GET = do_PUT = do_POST = do_DELETE = reply

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serve: Callable[[], None] = lambda: server.serve_forever(poll_interval=0.05)  # noqa: E731
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield state, f"qdrant://127.0.0.1:{server.server_port}"
    finally:
        state.ended.set()
        server.shutdown()
        server.server_close()
