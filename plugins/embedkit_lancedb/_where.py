"""What of a row can be filtered on, as columns; and from a filter to a condition on them.

``terms`` holds a string for each field and value, for equality. ``names``, ``numbers`` and ``texts`` have an entry for
each field, for presence and order: its name, and its value in the one that fits, null in the other. A condition is never
NULL, so that NOT is exact. Values and field names reach it as quoted literals only.
"""

from __future__ import annotations

from collections.abc import Iterator

from embedkit.stores import Combine, Compare, Filter, Metadata, Not, filterable, push_down_not, term


def columns(metadata: Metadata) -> dict[str, list[str] | list[float | None] | list[str | None]]:
    """The entries of a row in the four columns."""
    fields = filterable(metadata)
    return {
        "terms": [term(name, value) for name, value in fields.items() if not isinstance(value, list)],
        "names": list(fields),
        "numbers": [
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
            for value in fields.values()
        ],
        "texts": [value if isinstance(value, str) else None for value in fields.values()],
    }


def where(expression: Filter) -> str:
    """The condition in SQL."""
    return _where(push_down_not(expression))


def quoted(text: str) -> str:
    """``text`` as a literal of SQL, in which only the quote is special."""
    return "'" + text.replace("'", "''") + "'"


def _where(expression: Filter) -> str:
    if isinstance(expression, Not):
        return f"(NOT {_where(expression.part)})"
    if isinstance(expression, Combine):
        return "(" + f" {expression.op.upper()} ".join(_where(part) for part in _flat(expression)) + ")"
    assert isinstance(expression, Compare)
    field, op, value = expression.field, expression.op, expression.value
    if op == "exists":
        return f"array_has(names, {quoted(field)})"
    if op == "none":
        return f"array_has(terms, {quoted(term(field, None))})"
    if op in ("==", "in", "!=", "not in"):
        terms = [quoted(term(field, one)) for one in (value if isinstance(value, tuple) else (value,))]
        found = (
            f"array_has(terms, {terms[0]})"
            if len(terms) == 1
            else f"array_has_any(terms, make_array({', '.join(terms)}))"
        )
        return found if op in ("==", "in") else f"(NOT {found})"
    assert not isinstance(value, tuple)
    column, operand = ("texts", quoted(value)) if isinstance(value, str) else ("numbers", repr(float(value)))
    position = f"CAST(array_position(names, {quoted(field)}) AS bigint)"
    return f"coalesce(array_element({column}, {position}) {op} {operand}, false)"


def _flat(expression: Combine) -> Iterator[Filter]:
    """The parts, with those of parts of the same kind: a parser takes only so many parentheses."""
    for part in expression.parts:
        if isinstance(part, Combine) and part.op == expression.op:
            yield from _flat(part)
        else:
            yield part
