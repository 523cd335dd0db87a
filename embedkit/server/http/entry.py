"""The outermost layer: each request has an id, is measured, and is told of in one line when it ends."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from .call import Call


class Entry:
    """An ASGI application around another. ``done`` is told of each request when it has ended; ``closing`` tells whether
    connections are to be closed after their answer."""

    def __init__(self, app: ASGIApp, done: Callable[[Call, Scope], None], closing: Callable[[], bool]) -> None:
        self.app, self.done, self.closing = app, done, closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand anything else on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call = Call.of(scope)

        async def told(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                call.code = message["status"]
                more = [(b"x-request-id", call.id.encode())]
                if self.closing():
                    more.append((b"connection", b"close"))
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        try:
            await self.app(scope, receive, told)
        except BaseException:
            call.code = call.code or 500
            raise
        finally:
            self.done(call, scope)
