"""What of a row can be filtered on, as columns; and from a filter to a condition on them.

``terms`` holds a string for each field and value, for equality. ``names``, ``numbers`` and ``texts`` have an entry for
each field, for presence and order: its name, and its value in the one that fits, NULL in the other. A condition is never NULL, so
that NOT is exact. Values and field names are parameters, never part of the statement.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from embedkit.stores import ORDERINGS, Combine, Compare, Filter, Metadata, Not, filterable, term

Condition: TypeAlias = tuple[str, list[Any]]

COLUMNS = {"terms": "VARCHAR[]", "names": "VARCHAR[]", "numbers": "DOUBLE[]", "texts": "VARCHAR[]"}


def columns(metadata: Metadata) -> tuple[list[str], list[str], list[float | None], list[str | None]]:
    """The entries of a row in the columns of `COLUMNS`."""
    fields = filterable(metadata)
    return (
        [term(name, value) for name, value in fields.items() if not isinstance(value, list)],
        list(fields),
        [float(value) if _is_number(value) else None for value in fields.values()],  # type: ignore[arg-type]
        [value if isinstance(value, str) else None for value in fields.values()],
    )


def where(expression: Filter | None) -> Condition:
    """The condition, and its parameters."""
    if expression is None:
        return "true", []
    if isinstance(expression, Not):
        condition, values = where(expression.part)
        return f"NOT ({condition})", values
    if isinstance(expression, Combine):
        parts = [where(part) for part in expression.parts]
        joined = f" {expression.op.upper()} ".join(condition for condition, _ in parts)
        return f"({joined})", [value for _, values in parts for value in values]
    assert isinstance(expression, Compare)
    return _test(expression)


def _test(leaf: Compare) -> Condition:
    field, value = leaf.field, leaf.value
    if leaf.op == "exists":
        return "list_contains(names, ?)", [field]
    if leaf.op == "none":
        return "list_contains(terms, ?)", [term(field, None)]
    if leaf.op in ORDERINGS:
        assert not isinstance(value, tuple)
        column, bound = ("texts", value) if isinstance(value, str) else ("numbers", float(value))
        return f"coalesce({column}[list_position(names, ?)] {leaf.op} ?, false)", [field, bound]
    negated = "NOT " if leaf.op in ("!=", "not in") else ""
    terms = [term(field, one) for one in (value if isinstance(value, tuple) else (value,))]
    return f"{negated}list_has_any(terms, ?::VARCHAR[])", [terms]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
