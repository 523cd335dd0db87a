"""The Model Context Protocol over two streams: JSON-RPC 2.0, a message a line.

It is written here, and not taken from the protocol's package: tools alone are four requests, and the package would bring some twenty
others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from embedkit.errors import EmbedkitError
from embedkit.system.version import __version__

from .toolbox import Toolbox

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Those in which tools are as here, the newest first."""
_PARSE, _REQUEST, _METHOD, _PARAMS, _INTERNAL = -32700, -32600, -32601, -32602, -32603


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


def converse(toolbox: Toolbox, lines: Iterable[str], out: TextIO) -> None:
    """Answer the messages until there are no more. What is wrong is answered as an error, and ends nothing."""
    for line in lines:
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except ValueError as error:
            answer: Any = _error(None, _PARSE, f"expected a message in JSON ({error})")
        else:
            several = isinstance(message, list) and message
            answers = [found for each in (message if several else [message]) if (found := _answered(toolbox, each))]
            answer = answers if several else answers[0] if answers else None
        if answer:
            out.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")) + "\n")
            out.flush()


def _answered(toolbox: Toolbox, message: Any) -> dict[str, Any] | None:
    """The answer to one message; None to what wants none."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        if isinstance(message, dict) and ("result" in message or "error" in message):
            return None  # an answer, of which nothing was asked
        return _error(None, _REQUEST, "expected a request of JSON-RPC 2.0 with a method")
    if "id" not in message:
        return None
    number, given = message["id"], message.get("params") or {}
    try:
        if not isinstance(given, dict):
            raise _Refused(_PARAMS, "params: expected an object")
        return {"jsonrpc": "2.0", "id": number, "result": _result(toolbox, message["method"], given)}
    except _Refused as refused:
        return _error(number, refused.code, refused.message)
    except Exception as error:
        return _error(number, _INTERNAL, f"{type(error).__name__}: {error}")


def _result(toolbox: Toolbox, method: str, given: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        asked = given.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "embedkit", "version": __version__},
            "instructions": "Search documents by meaning with `search`, then read them whole with `get`.",
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": toolbox.described()}
    if method != "tools/call":
        raise _Refused(_METHOD, f"no method {method!r:.80}")
    name, arguments = given.get("name"), given.get("arguments") or {}
    names = [tool["name"] for tool in toolbox.described()]
    if name not in names or not isinstance(arguments, dict):
        raise _Refused(
            _PARAMS, f"expected one of the tools {', '.join(names)} with an object of arguments, found {name!r:.80}"
        )
    try:
        found = toolbox.call(str(name), arguments)
    except EmbedkitError as error:  # so that the model reads it, and asks better
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    text = json.dumps(found, ensure_ascii=False, default=str)
    return {"content": [{"type": "text", "text": text}], "structuredContent": found, "isError": False}


def _error(number: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
