"""A port of its own for metrics and health, which needs no key."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedkit.server.service import Service

_SECONDS = 10.0
_MOST = 16 << 10


class MetricsPort:
    """Answers ``GET /metrics``, ``/health`` and ``/ready`` at a host and port (0 for any), a connection a request."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service, self._host, self.port = service, host, port
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._answer, self._host, self.port, limit=_MOST)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                request = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
                status, kind, page = self._page(request[0], request[1] if len(request) > 1 else b"")
                head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(page)}\r\nconnection: close\r\n\r\n"
                writer.write(head.encode() + page)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _page(self, method: bytes, path: bytes) -> tuple[str, str, bytes]:
        ready = self._service.ready and not self._service.draining
        if method != b"GET":
            return "405 Method Not Allowed", "text/plain", b"GET alone\n"
        if path == b"/metrics":
            page, kind = self._service.metrics.page(ready=ready)
            return "200 OK", kind, page
        if path == b"/health" or (path == b"/ready" and ready):
            return "200 OK", "application/json", b'{"status":"ok"}'
        if path == b"/ready":
            return "503 Service Unavailable", "application/json", b'{"status":"not ready"}'
        return "404 Not Found", "text/plain", b"there are /metrics, /health and /ready\n"
