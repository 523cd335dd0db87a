"""A server at a real port of this machine, on a thread of its own; and what a client of the standard library gets of it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from embedkit import AsyncEncoder
from embedkit.encoders.base import BaseEncoder
from embedkit.server.models import Catalogue, ServedModel
from embedkit.server.process import DrainingServer, ListenAddress, server_config
from embedkit.server.service import Service
from embedkit.server.settings import ServeSettings


@dataclass(frozen=True)
class Got:
    """An answer: its status, its headers in lower case, its bytes."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Served:
    """A running server: where it is, and what it is made of."""

    url: str
    service: Service
    loop: asyncio.AbstractEventLoop

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30,
    ) -> Got:
        """POST of a body in JSON (bytes as they are), else GET."""
        host, port = self.address
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {} if data is None else {"content-type": "application/json"}
        try:
            connection.request(method or ("GET" if data is None else "POST"), path, data, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return Got(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


def vectors_of(answer: Any) -> np.ndarray:
    """(n, dim) the vectors of an answer in OpenAI's shape, in either format."""
    rows = [one["embedding"] for one in answer["data"]]
    if isinstance(rows[0], str):
        return np.stack([np.frombuffer(base64.b64decode(row), "<f4") for row in rows])
    return np.array(rows, dtype=np.float32)


def catalogue_of(encoders: Mapping[str, BaseEncoder], settings: ServeSettings, **options: Any) -> Catalogue:
    """The models of encoders by name."""
    queues = {"max_queue": settings.max_queue, "max_queue_tokens": settings.max_queue_tokens}
    models = [ServedModel(name, encoder, AsyncEncoder(encoder, **queues)) for name, encoder in encoders.items()]
    return Catalogue(models, strict=settings.strict_model, **options)


def quiet(**options: Any) -> ServeSettings:
    """Settings of a server that logs nothing and ends at once."""
    return ServeSettings(**{"access_log": False, "drain": 0.0, "grace": 5.0, **options})


@contextmanager
def served(
    encoders: Mapping[str, BaseEncoder], settings: ServeSettings | None = None, **options: Any
) -> Iterator[Served]:
    """A server of the encoders, as long as the block lasts."""
    settings = settings or quiet()
    started: list[Served] = []
    ready = threading.Event()
    servers: list[DrainingServer] = []

    async def main() -> None:
        service = Service(catalogue_of(encoders, settings, **options), settings)
        await service.warm()
        listening = ListenAddress(port=0).listen()
        server = DrainingServer(server_config(service, ListenAddress()), service)
        servers.append(server)
        started.append(Served(ListenAddress().url(listening), service, asyncio.get_running_loop()))
        ready.set()
        await server.serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="served", daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield started[0]
    finally:
        servers[0].should_exit = True
        thread.join(30)
        assert not thread.is_alive()
