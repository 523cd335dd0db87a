"""Cells of text as the numbers, dates and values that they stand for: a filter orders numbers, not their spelling."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from embedkit.checks import one_of
from embedkit.errors import OptionError

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _bool(text: str) -> bool:
    return _WORDS[text.lower()]


def _moment(text: str) -> date:
    if len(text) == len("2024-05-01"):
        return date.fromisoformat(text)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


TYPES: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": _bool,
    "date": _moment,
    "json": json.loads,
}
"""What a type makes of text: ``date`` is ISO 8601, a date or a datetime; ``bool`` true, yes, 1, false, no or 0."""


def check_types(types: Mapping[str, str]) -> None:
    """Raise `OptionError` for a type that is not in `TYPES`."""
    if not isinstance(types, Mapping):
        raise OptionError(f"types: expected a type by the name of a field, found {types!r:.80}")
    for name, kind in types.items():
        one_of(f"type of the field {name!r}", kind, TYPES)


def typed(value: Any, kind: str) -> Any:
    """``value``, or what it stands for where it is text: nothing (None) where that is blank. Raises `ValueError` where it
    stands for none of this type."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return TYPES[kind](text) if text else None
    except (ValueError, KeyError, RecursionError):
        raise ValueError(f"{text[:80]!r} is no {kind}") from None
