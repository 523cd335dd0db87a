"""The life of a server's process: load, warm, listen, answer, drain, end."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from embedkit.encoders.asynchronous import AsyncEncoder
from embedkit.encoders.base import BaseEncoder
from embedkit.errors import OptionError

from .app import create_app
from .metrics_port import MetricsPort
from .models import Catalogue, ServedModel
from .observing.logs import write_line
from .service import Service
from .settings import ServeSettings
from .watching import Watcher

OpenBundle = Callable[[str], BaseEncoder]
"""Opens the bundle of a folder."""

_KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than the 60 of load balancers, which would meet closed ones."""
_FAREWELL = 1.0
"""Seconds, once or twice, that a closed connection is kept until the client closes it too."""
_AFTER_GRACE = 2
_BACKLOG = 2048


@dataclass(frozen=True)
class ListenAddress:
    """Where a server listens: a host and a port (0 for any), or the path of a socket; with TLS where there is a certificate."""

    host: str = "127.0.0.1"
    port: int = 8080
    uds: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    metrics_port: int | None = None

    def listen(self) -> socket.socket:
        """A socket that listens there; `OptionError` where that cannot be."""
        try:
            if self.uds is not None:
                with suppress(FileNotFoundError):
                    if Path(self.uds).is_socket():
                        Path(self.uds).unlink()
                made = socket.socket(socket.AF_UNIX)
                made.bind(self.uds)
                Path(self.uds).chmod(0o660)
                made.listen(_BACKLOG)
            else:
                # asyncio sends small packets at once only for sockets that say that they are of TCP: answers would wait 40 ms.
                made = socket.socket(_family(self.host), socket.SOCK_STREAM, socket.IPPROTO_TCP)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.bind((self.host, self.port))
                made.listen(_BACKLOG)
        except OSError as error:
            where = self.uds or f"{self.host}:{self.port}"
            raise OptionError(
                f"cannot listen at {where} ({error.strerror or error}); give another --port, --host or --uds"
            ) from None
        made.setblocking(False)
        return made

    def url(self, listening: socket.socket) -> str:
        """Where clients find it."""
        if self.uds is not None:
            return f"unix:{self.uds}"
        host, port = listening.getsockname()[:2]
        return f"{'https' if self.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


class DrainingServer(uvicorn.Server):
    """After SIGTERM ``/ready`` says no at once and requests are still taken for the time to drain; then what was taken is finished,
    and after the time of grace refused. SIGINT does not drain, and a second signal ends at once."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._end: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        if self._service.draining:
            self.should_exit = self.force_exit = True
            return
        self._service.draining = True
        self._end = time.monotonic() + (self._service.settings.drain if sig == signal.SIGTERM else 0.0)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end."""
        if self._end is not None and time.monotonic() >= self._end:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners, and finish what was taken."""

        def give_up() -> None:
            for model in self._service.catalogue.models.values():
                model.queue.abandon()

        alarm = asyncio.get_running_loop().call_later(self._service.settings.grace, give_up)
        closing = asyncio.ensure_future(self._cut_off())
        try:
            await super().shutdown(sockets)
        finally:
            alarm.cancel()
            closing.cancel()

    async def _cut_off(self) -> None:
        """End connections that are closed and have nothing more to say: behind TLS the client's farewell is waited for, for half a minute
        by itself, and one that is idle gives none."""
        waiting: set[Any] = set()
        while True:
            await asyncio.sleep(_FAREWELL)
            transports = {getattr(connection, "transport", None) for connection in list(self.server_state.connections)}
            said = {
                one for one in transports if one is not None and one.is_closing() and not one.get_write_buffer_size()
            }
            for transport in said & waiting:
                transport.abort()
            waiting = said


def serve_bundles(
    bundles: Mapping[str, str],
    load: OpenBundle,
    settings: ServeSettings,
    address: ListenAddress,
    *,
    aliases: Mapping[str, str] | None = None,
    watch: float | None = None,
) -> None:
    """Serve the bundles (folders by name) until a signal ends it. They are loaded and warmed before it listens; ``watch`` is how
    often, in seconds, it looks whether they have changed."""
    asyncio.run(serve_until_signal(bundles, load, settings, address, aliases=aliases, watch=watch))


async def serve_until_signal(
    bundles: Mapping[str, str],
    load: OpenBundle,
    settings: ServeSettings,
    address: ListenAddress,
    *,
    aliases: Mapping[str, str] | None = None,
    watch: float | None = None,
    started: Callable[[str], None] | None = None,
) -> None:
    """`serve_bundles` on an event loop; ``started`` is told the URL."""
    before = time.perf_counter()

    def opened(name: str) -> ServedModel:
        encoder = load(bundles[name])
        queue = AsyncEncoder(encoder, max_queue=settings.max_queue, max_queue_tokens=settings.max_queue_tokens)
        return ServedModel(name, encoder, queue, bundles[name])

    # On another thread than this, which signals come to: OpenVINO gives the thread that loads it a stack for signals that is too
    # small for them on CPUs with AMX.
    models = [await asyncio.to_thread(opened, name) for name in bundles]
    service = Service(Catalogue(models, aliases, strict=settings.strict_model), settings)
    await service.warm()
    listening = address.listen()
    server = DrainingServer(server_config(service, address), service)
    others: list[Any] = []
    watcher = Watcher(service, opened, watch)
    if hasattr(signal, "SIGHUP"):
        with suppress(NotImplementedError, ValueError, RuntimeError):  # of the main thread alone
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watcher.look)
    others.append(asyncio.ensure_future(watcher.run()))
    port = MetricsPort(service, address.host, address.metrics_port) if address.metrics_port is not None else None
    if port is not None:
        await port.open()
    url = address.url(listening)
    names = list(service.catalogue.ids())
    write_line({"event": "listening", "url": url, "models": names, "seconds": round(time.perf_counter() - before, 2)})
    if started is not None:
        started(url)
    try:
        await server.serve(sockets=[listening])
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if port is not None:
            await port.close()
        if address.uds is not None:
            Path(address.uds).unlink(missing_ok=True)
    write_line({"event": "ended"})


def server_config(service: Service, address: ListenAddress) -> uvicorn.Config:
    """What uvicorn is to do."""
    return uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(service.settings.grace) + _AFTER_GRACE,
        ssl_certfile=address.tls_cert,
        ssl_keyfile=address.tls_key,
        backlog=_BACKLOG,
    )


def _family(host: str) -> Any:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def named_bundles(given: Sequence[str]) -> dict[str, str]:
    """Folders by name: ``NAME=FOLDER``, or a folder that has its own name."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, folder = one.partition("=")
        if not equals or "/" in name:
            name, folder = Path(one).resolve().name, one
        if not name or not folder or name in found:
            raise OptionError(f"expected bundles of different names, found {one!r}; give NAME=BUNDLE")
        found[name] = folder
    return found
