"""One route: the key, the body, the work, which ends when its client leaves, and the answer or a refusal in the right words."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from .body import Disconnected, check_headers, decode, read_body
from .call import Call
from .failures import Dialect, refusal_of
from .keys import check_key
from .limits import Limits

_log = logging.getLogger("embedkit.server")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered: an object that becomes JSON, or bytes of a ``kind``."""

    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"


Handler = Callable[[Call, Any, Mapping[str, str]], Awaitable[Reply]]
"""Answers a request of which the body was read (None for GET); also gets the parts of its path."""


class Endpoint:
    """An ASGI application for one route; ``shape`` is the struct of its bodies, None where it takes none."""

    def __init__(
        self,
        route: str,
        handler: Handler,
        shape: type[msgspec.Struct] | None,
        limits: Limits,
        *,
        dialect: Dialect = "openai",
        open: bool = False,
    ) -> None:
        self.route, self.handler, self.shape, self.limits = route, handler, shape, limits
        self.dialect, self.open = dialect, open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        call = Call.of(scope)
        call.route = self.route
        headers = Headers(scope=scope)
        try:
            if not self.open:
                check_key(headers, self.limits.keys)
            self.limits.set_timeout(headers)
            body = None
            if self.shape is not None:
                check_headers(headers, self.limits.max_body)
                call.stage = "body"
                data = await read_body(receive, self.limits.max_body, self.limits.body_timeout)
                body = decode(data, self.shape)
            call.stage = "work"
            reply = await _unless_gone(self.handler(call, body, scope.get("path_params", {})), receive)
            status, kind = 200, reply.kind
            content = reply.value if isinstance(reply.value, bytes) else msgspec.json.encode(reply.value)
            more = dict(reply.headers)
        except Disconnected:
            call.code = 499
            return
        except Exception as error:
            refusal = refusal_of(error, call.id)
            if refusal.status == 500:
                # Without the error's words, which may hold a text.
                frames = "".join(traceback.format_tb(error.__traceback__))
                _log.error("request %s failed: %s\n%s", call.id, type(error).__name__, frames)
            call.error, call.reason = type(error).__name__, refusal.code or ""
            status, kind, content = refusal.status_for(self.dialect), "application/json", refusal.body(self.dialect)
            more = refusal.headers
        await respond(send, status, content, kind, more)


async def respond(send: Send, status: int, content: bytes, kind: str, headers: Mapping[str, str]) -> None:
    """Send a whole answer."""
    raw = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
    raw += [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})


async def _unless_gone(work: Awaitable[Reply], receive: Receive) -> Reply:
    """What the work gives; where the client leaves before, the work is cancelled, and `Disconnected` raised."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Disconnected
    finally:
        for one in (task, watcher):
            one.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
