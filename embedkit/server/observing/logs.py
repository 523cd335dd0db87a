"""One line of JSON a request, with what it cost and never a text or a key."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

import msgspec

from embedkit.server.http.call import Call


def log_line(call: Call) -> dict[str, Any]:
    """What is told of a request: times in milliseconds."""
    line: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "request_id": call.id,
        "route": call.route or "unknown",
        "status": call.code,
        "ms": round(call.seconds * 1000, 2),
    }
    if call.model:
        line["model"] = call.model
    if call.texts:
        line |= {"texts": call.texts, "tokens": call.tokens, "truncated": call.truncated}
        line |= {"queue_ms": round(call.waited * 1000, 2), "encode_ms": round(call.computed * 1000, 2)}
    if call.error:
        line["error"] = call.error
    return line


def write_line(line: dict[str, Any], stream: TextIO | None = None) -> None:
    """A line of JSON on standard error, or on a stream."""
    print(msgspec.json.encode(line).decode(), file=stream or sys.stderr, flush=True)
