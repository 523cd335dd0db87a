"""Bodies: read within a size and a time, and taken apart with every doubt."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.types import Receive

from .failures import Refusal

T = TypeVar("T")

_PLACE = re.compile(r"`\$\.(\w+)")
_JSON = re.compile(r"(application|text)/([\w.+-]+\+)?json\Z")


class Disconnected(Exception):
    """The client left before its request was whole."""


def check_headers(headers: Mapping[str, str], most: int) -> None:
    """`Refusal` for what is known before a byte of a body is read."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise _too_large(most)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and not _JSON.match(kind):
        raise Refusal(
            415,
            f"content-type: expected application/json, found {kind!r:.80}; with curl: -H 'content-type: application/json'",
        )
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refusal(415, "content-encoding: bodies are read as they are; send this one uncompressed")


async def read_body(receive: Receive, most: int, seconds: float) -> bytes:
    """The bytes of a body: `Refusal` 413 with the first that is too many, 408 after the time; `Disconnected`."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise _too_large(most)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Refusal(
            408, f"the body did not come within {seconds:g} seconds; send it again", headers={"connection": "close"}
        ) from None


def decode(data: bytes, shape: type[T]) -> T:
    """A body as the struct ``shape``, of which what is null counts as not given; `Refusal` that names the field."""
    try:
        return msgspec.convert(without_nulls(msgspec.json.decode(data)), shape)
    except msgspec.ValidationError as error:
        found = _PLACE.search(str(error))
        raise Refusal(400, f"{error}; see /openapi.json", param=found[1] if found else None) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"the body is no JSON that can be read ({error}); send UTF-8 without NaN") from None


def without_nulls(value: Any) -> Any:
    """An object without its fields that are null; anything else as it is."""
    return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value


def _too_large(most: int) -> Refusal:
    return Refusal(
        413,
        f"the body is larger than the {most:,} bytes that are taken; send fewer texts at a time",
        headers={"connection": "close"},
    )
