"""What of a row can be filtered on, as Chroma's flat metadata; and from a filter to a condition on it."""

from __future__ import annotations

import math
from typing import Any

from embedkit.stores import ORDERINGS, Combine, Compare, Filter, Metadata, Scalar, filterable

_FIELD, _FLOAT = "meta.", "float."
_ORDER = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_BEYOND = 2.0**63
"""The only float that an integer of 64 bits is rounded to and that is none itself: Chroma takes the largest integers, as floats, for it."""


def fields(metadata: Metadata) -> dict[str, Scalar]:
    """What can be filtered on. Chroma may round the last bit of a float, and finds 2 where 2.5 is asked for, because it
    compares integers with the operand's integer part: so a float is also kept as text, for equality."""
    values = {key: value for key, value in filterable(metadata).items() if isinstance(value, str | int | float)}
    floats = {_FLOAT + key: repr(value) for key, value in values.items() if isinstance(value, float)}
    return {_FIELD + key: value for key, value in values.items()} | floats


def where(expression: Filter | None) -> dict[str, Any] | None:
    if expression is None:
        return None
    if isinstance(expression, Combine):
        return _join("$" + expression.op, [where(part) for part in expression.parts])
    assert isinstance(expression, Compare)
    if expression.op in ORDERINGS:
        return _ordering(expression)
    values = expression.value if isinstance(expression.value, tuple) else (expression.value,)
    of_type: dict[type, list[Scalar]] = {}  # Chroma takes lists of one type only
    for value in values:
        of_type.setdefault(type(value), []).append(repr(value) if isinstance(value, float) else value)
    op, join = ("$in", "$or") if expression.op in ("==", "in") else ("$nin", "$and")
    keys = {kind: (_FLOAT if kind is float else _FIELD) + expression.field for kind in of_type}
    parts = [{keys[kind]: {op: listed}} for kind, listed in of_type.items()]
    if any(_is_rounded_up(value) for value in of_type.get(int, [])) and _BEYOND not in values:
        found = _join(join, parts)
        return _without(found, expression.field) if op == "$in" else _join("$or", [found, _beyond(expression.field)])
    asked = set(of_type.get(float, []))
    kept = [near for value in of_type.get(int, []) for near in map(repr, _beside(value)) if near not in asked]
    if not kept:  # Chroma takes no empty list
        return _join(join, parts)
    key, found = _FLOAT + expression.field, _join(join, parts)
    return _join("$and", [found, {key: {"$nin": kept}}]) if op == "$in" else _join("$or", [found, {key: {"$in": kept}}])


def _beside(value: Scalar) -> list[float]:
    """The floats beside an integer, which Chroma may round to it."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < abs(value) <= 2**52:
        return []
    return [near for way in (-math.inf, math.inf) if not (near := math.nextafter(value, way)).is_integer()]


def _ordering(expression: Compare) -> dict[str, Any]:
    key, op, value = _FIELD + expression.field, expression.op, expression.value
    assert isinstance(value, int | float)
    if isinstance(value, int):
        found: dict[str, Any] = {key: {_ORDER[op]: value}}
        beside = [repr(near) for near in _beside(value) if (near < value) is (op in ("<", ">="))]
        if beside:
            exact = {_FLOAT + expression.field: {"$in" if op in ("<", ">") else "$nin": beside}}
            return _join("$or" if op in ("<", ">") else "$and", [found, exact])
        if not _is_rounded_up(value) or op in ("<", ">="):
            return found
        return _without(found, expression.field) if op == "<=" else _join("$or", [found, _beyond(expression.field)])
    least, most = -(2**63), 2**63 - 1
    if op in ("<", "<="):
        parts = [{"$lt": value}, *([{"$lte": min(math.floor(value), most)}] if value > least else [])]
    else:
        parts = [{"$gt": value}, *([{"$gte": max(math.ceil(value), least)}] if value < most else [])]
    if op == "<" and value == _BEYOND:
        return _without({key: {"$lte": most}}, expression.field)
    return _exact(_join("$or", [{key: part} for part in parts]), expression, value)


def _exact(found: dict[str, Any], expression: Compare, value: float) -> dict[str, Any]:
    """An ordering by a float, of which ``found`` may be wrong for the floats within two steps of it: Chroma may round either number
    by one."""
    less, key = expression.op in ("<", "<="), _FLOAT + expression.field
    inside, outside = _steps(value, -math.inf if less else math.inf), _steps(value, math.inf if less else -math.inf)
    (inside if expression.op in ("<=", ">=") else outside).append(repr(value))
    parts = [_join("$and", [found, {key: {"$nin": outside}}]) if outside else found]
    return _join("$or", [*parts, {key: {"$in": inside}}] if inside else parts)


def _steps(value: float, way: float) -> list[str]:
    near = math.nextafter(value, way)
    return [repr(each) for each in (near, math.nextafter(near, way)) if math.isfinite(each)]


def _is_rounded_up(value: Scalar) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and float(value) == _BEYOND


def _beyond(field: str) -> dict[str, Any]:
    """Holds where the field is the float ``_BEYOND``."""
    return {_FLOAT + field: {"$in": [repr(_BEYOND)]}}


def _without(condition: dict[str, Any], field: str) -> dict[str, Any]:
    return _join("$and", [condition, {_FLOAT + field: {"$nin": [repr(_BEYOND)]}}])


def _join(op: str, parts: list[Any]) -> dict[str, Any]:
    return {op: parts} if len(parts) > 1 else dict(parts[0])
