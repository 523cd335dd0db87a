"""From a filter to a condition on the column ``fields``, a jsonb object of text, numbers, booleans and nulls.

Values and field names are parameters, never part of the statement. A condition is never NULL, so that NOT is exact.
Equality is containment (``@>``), which the GIN index answers: jsonb compares numbers by value, and keeps true and 1
apart.
"""

from __future__ import annotations

import json
from typing import Any

from psycopg import sql

from embedkit.stores import Combine, Compare, Filter, Not, Scalar

Condition = tuple[sql.Composable, list[Any]]

_LOOKED_UP = 100
"""Values of a field that are looked up in the index one by one; of more of them every row is compared."""


def where(expression: Filter | None) -> Condition:
    """The condition and its parameters."""
    if expression is None:
        return sql.SQL("true"), []
    if isinstance(expression, Not):
        condition, values = where(expression.part)
        return sql.SQL("NOT ({})").format(condition), values
    if isinstance(expression, Combine):
        parts = [where(part) for part in expression.parts]
        joined = sql.SQL(f") {expression.op.upper()} (").join(condition for condition, _ in parts)
        return sql.SQL("(({}))").format(joined), [value for _, values in parts for value in values]
    assert isinstance(expression, Compare)
    if expression.op == "exists":
        return sql.SQL("(fields -> %s IS NOT NULL)"), [escape(expression.field)]
    if expression.op == "none":
        return sql.SQL("fields @> %s::jsonb"), [_json({escape(expression.field): None})]
    if expression.op in ("==", "in"):
        return _any_of(expression.field, expression.value)
    if expression.op in ("!=", "not in"):
        condition, values = _any_of(expression.field, expression.value)
        return sql.SQL("NOT ({})").format(condition), values
    assert not isinstance(expression.value, tuple)
    return _ordered(expression.field, expression.op, expression.value)


def escape(text: str) -> str:
    """Text without NUL, which PostgreSQL does not keep, of the same order; `restore` is the inverse."""
    return text.replace("\1", "\1\2").replace("\0", "\1\1") if "\0" in text or "\1" in text else text


def restore(text: str) -> str:
    """The text that `escape` was given."""
    return text.replace("\1\1", "\0").replace("\1\2", "\1") if "\1" in text else text


def _any_of(field: str, value: Scalar | tuple[Scalar, ...]) -> Condition:
    listed = value if isinstance(value, tuple) else (value,)
    if not listed:
        return sql.SQL("false"), []
    if len(listed) == 1:
        return sql.SQL("fields @> %s::jsonb"), [_json({escape(field): listed[0]})]
    if len(listed) <= _LOOKED_UP:
        found = [_json({escape(field): one}) for one in listed]
        return sql.SQL("fields @> ANY(%s::text[]::jsonb[])"), [found]
    # Compared by a hash table of the values, and one parameter: a statement has at most 65,535.
    values = [json.dumps(escape(one) if isinstance(one, str) else one, ensure_ascii=False) for one in listed]
    return sql.SQL("COALESCE((fields -> %s) = ANY(%s::text[]::jsonb[]), false)"), [escape(field), values]


def _ordered(field: str, op: str, value: Scalar) -> Condition:
    kind, cast = ("string", 'COLLATE "C"') if isinstance(value, str) else ("number", "::numeric")
    condition = sql.SQL(
        "COALESCE(CASE WHEN jsonb_typeof(fields -> %s) = {kind} THEN (fields ->> %s) {cast} {op} %s::{type} END, false)"
    ).format(
        kind=sql.Literal(kind),
        cast=sql.SQL(cast),
        op=sql.SQL(op),
        type=sql.SQL("text" if kind == "string" else "numeric"),
    )
    operand = escape(value) if isinstance(value, str) else repr(value)
    return condition, [escape(field), escape(field), operand]


def _json(value: dict[str, Scalar | None]) -> str:
    return json.dumps({k: escape(v) if isinstance(v, str) else v for k, v in value.items()}, ensure_ascii=False)
