"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .lines import Unreadable, decoded

SUFFIXES = (".jsonl", ".ndjson", ".json-lines")


def json_object(raw: bytes) -> dict[str, Any]:
    """The object of one line; `Unreadable` where the line is no UTF-8, no JSON, or another value."""
    text = decoded(raw)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"broken JSON: {error}") from None
    if not isinstance(value, dict):
        raise Unreadable(f"expected a JSON object, found {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    names = {bool: "a bool", int: "a number", float: "a number", str: "text", list: "a list", bytes: "bytes"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}")
