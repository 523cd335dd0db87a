"""What of a row can be filtered on, as two fields of short strings; and from a filter to a query over them.

A field of its own for each key of metadata would be refused beyond a thousand, and takes the type of its first value. So ``terms`` has each
key, and each key with its value; ``order`` each key with its number, written so that the order of the strings is that of the
numbers, integers beyond 2**53 included.
"""

from __future__ import annotations

import struct
from typing import Any

from embedkit.stores import ORDERINGS, Combine, Compare, Filter, Metadata, Not, filterable, term

TERMS, ORDER = "terms", "order"
_TERMS_AT_ONCE = 50_000
"""A list of terms may have 65,536."""
_END = "g"
"""Comes after every number that is written in hex digits."""
_SIGN, _ALL = 1 << 63, (1 << 64) - 1
_MIDDLE = 0x800


def index_of(metadata: Metadata) -> dict[str, list[str]]:
    """What a row is found by: its terms, and its numbers."""
    fields = filterable(metadata)
    terms = [term(name) for name in fields]
    terms += [term(name, value) for name, value in fields.items() if not isinstance(value, list)]
    numbers = [
        term(name) + written(value)
        for name, value in fields.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return {TERMS: terms, ORDER: numbers}


def written(number: float) -> str:
    """An integer of 64 bits or a finite float as hex digits, of which the order is that of the numbers: the nearest float64, and how far
    the number is from it."""
    nearest = float(number)
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest))
    bits = bits ^ _ALL if bits & _SIGN else bits | _SIGN
    rest = number - int(nearest) if isinstance(number, int) else 0
    return f"{bits:016x}{rest + _MIDDLE:03x}"


def condition(expression: Filter) -> dict[str, Any]:
    """The filter as a query."""
    if isinstance(expression, Combine):
        parts = [condition(part) for part in expression.parts]
        return {"bool": {"filter": parts}} if expression.op == "and" else _any(parts)
    if isinstance(expression, Not):
        return _none([condition(expression.part)])
    assert isinstance(expression, Compare)
    if expression.op in ORDERINGS:
        return _ordered(expression)
    name, value = expression.field, expression.value
    if expression.op == "exists":
        return {"term": {TERMS: term(name)}}
    values = [None] if expression.op == "none" else value if isinstance(value, tuple) else (value,)
    wanted = [term(name, one) for one in values]
    found = [
        {"terms": {TERMS: wanted[start : start + _TERMS_AT_ONCE]}} for start in range(0, len(wanted), _TERMS_AT_ONCE)
    ]
    if expression.op in ("!=", "not in"):
        return _none(found)
    return found[0] if len(found) == 1 else _any(found)


def _ordered(leaf: Compare) -> dict[str, Any]:
    assert isinstance(leaf.value, int | float)
    name = term(leaf.field)
    bound = name + written(leaf.value)
    if leaf.op in (">", ">="):
        return {"range": {ORDER: {"gt" if leaf.op == ">" else "gte": bound, "lt": name + _END}}}
    return {"range": {ORDER: {"gte": name, "lt" if leaf.op == "<" else "lte": bound}}}


def _any(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"should": parts, "minimum_should_match": 1}}


def _none(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"must_not": parts}}
