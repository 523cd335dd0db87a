"""A single value as the text or the id that it stands for."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from embedkit.errors import InputError
from embedkit.records.scalars import plain
from embedkit.system.files.lines import decoded

_EXACT = 2**53
"""Up to here a float is one whole number, and no other's nearest."""


def as_text(value: Any) -> Any:
    """``value`` where it is text or none; bytes as the text that they are in UTF-8, None for what says that there is none
    (NaN, NaT, NA), values of numpy as Python's. Raises `embedkit.system.files.lines.NotText` for bytes that are no UTF-8."""
    if isinstance(value, str) or value is None:
        return value
    try:
        value = plain(value)
    except InputError:  # a time that cannot be kept is no text either
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return decoded(bytes(value))
    return None if isinstance(value, float) and math.isnan(value) else value


def as_id(value: Any) -> Any:
    """As `as_text`, and whole numbers as their digits, floats (12.0) and decimals too."""
    value = as_text(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    return _digits(value) if isinstance(value, int) else value


def _digits(value: int) -> Any:
    try:
        return str(value)
    except ValueError:  # more of them than Python writes
        return value
