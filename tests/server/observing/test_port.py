"""The port for metrics alone."""

from __future__ import annotations

import asyncio

from embedkit import Encoder
from embedkit.server.observing.port import MetricsPort
from embedkit.server.service import Service
from helpers.served import catalogue_of, quiet


def test_what_it_answers(encoder: Encoder) -> None:
    async def ask(port: int, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        got = await reader.read()
        writer.close()
        return got

    async def main() -> None:
        service = Service(catalogue_of({"tiny": encoder}, quiet(keys=("k",))), quiet(keys=("k",)))
        port = MetricsPort(service, "127.0.0.1", 0)
        await port.open()
        assert b" 503 " in await ask(port.port, b"GET /ready HTTP/1.1\r\n\r\n")
        service.ready = True
        for path, words in (
            (b"/ready", b" 200 "),
            (b"/health", b" 200 "),
            (b"/metrics", b"embedkit_ready 1.0"),
            (b"/x", b" 404 "),
        ):
            assert words in await ask(port.port, b"GET " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 405 " in await ask(port.port, b"POST /metrics HTTP/1.1\r\n\r\n")
        assert await ask(port.port, b"x" * 100_000) == b""
        await port.close()

    asyncio.run(main())
