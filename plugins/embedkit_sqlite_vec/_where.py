"""From a filter to a condition on a row's ``number``, looked up in the table of fields and its index.

That table has one row for each metadata key, and SQLite keeps text, numbers and None apart in its ``value``; a bool is a blob
of one byte, any other value an empty one. Their order is None, numbers, text, blobs, so that an ordering needs a second
bound to stay among its kind. Values and field names are parameters, never part of the statement. A condition is never
NULL, so that NOT is exact.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from embedkit.stores import ORDERINGS, Combine, Compare, Field, Filter, Not

Condition: TypeAlias = tuple[str, list[Any]]

_LEAST_TEXT, _LEAST_BLOB = "''", "x''"


def stored(value: Field) -> str | int | float | bytes | None:
    """A value of `embedkit.records.filterable` as the table of fields keeps it."""
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    return b"" if isinstance(value, list) else value


def where(expression: Filter | None, fields: str) -> Condition:
    """The condition, over the table ``fields``, and its parameters."""
    if expression is None:
        return "true", []
    if isinstance(expression, Not):
        condition, values = where(expression.part, fields)
        return f"NOT ({condition})", values
    if isinstance(expression, Combine):
        parts = [where(part, fields) for part in expression.parts]
        joined = _joined(expression.op.upper(), [condition for condition, _ in parts])
        return joined, [value for _, values in parts for value in values]
    assert isinstance(expression, Compare)
    test, values = _test(expression)
    negated = "NOT " if expression.op in ("!=", "not in") else ""
    return f"number {negated}IN (SELECT row FROM {fields} WHERE field = ?{test})", [expression.field, *values]


def _joined(op: str, conditions: list[str]) -> str:
    """All of them, in halves of halves: SQLite takes a chain for a tree, which may be so many levels deep only."""
    if len(conditions) == 1:
        return f"({conditions[0]})"
    middle = len(conditions) // 2
    return f"({_joined(op, conditions[:middle])} {op} {_joined(op, conditions[middle:])})"


def _test(leaf: Compare) -> Condition:
    if leaf.op == "exists":
        return "", []
    if leaf.op == "none":
        return " AND value IS NULL", []
    if leaf.op not in ORDERINGS:
        listed = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        return f" AND value IN ({', '.join('?' * len(listed))})", [stored(value) for value in listed]
    if isinstance(leaf.value, str):
        other = f"value < {_LEAST_BLOB}" if leaf.op in (">", ">=") else f"value >= {_LEAST_TEXT}"
        return f" AND value {leaf.op} ? AND {other}", [leaf.value]
    return f" AND value {leaf.op} ? AND value < {_LEAST_TEXT}", [leaf.value]
