"""What can be filtered on, and from a filter to a Milvus expression.

A row keeps the digests of what holds for it in one text: that a field is present, which value it has, that it is a number.
So equality and presence are exact for values of any kind, and no name or value of a user is ever part of an
expression. Numbers lie beside it, under the digests of their fields, for ``< <= > >=``. No part of an expression is null, so
that ``not`` is exact.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from embedkit.stores import Combine, Compare, Field, Filter, Metadata, Not, Scalar, filterable

FIELDS = "fields"
_LEAST_INTEGER = -(2**63)


def digests(metadata: Metadata) -> tuple[str, dict[str, int | float]]:
    """The text of digests, and the numbers by their keys."""
    found, numbers = [], {}
    for field, value in filterable(metadata).items():
        found.append(_present(field))
        if not isinstance(value, list):
            found.append(_equal(field, value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.append(_a_number(field))
            numbers[_number(field)] = value
    return f" {' '.join(found)} ", numbers


def where(expression: Filter | None) -> str:
    """The expression; empty for None."""
    if expression is None:
        return ""
    if isinstance(expression, Not):
        return f"not ({where(expression.part)})"
    if isinstance(expression, Combine):
        return f"({f' {expression.op} '.join(f'({where(part)})' for part in expression.parts)})"
    assert isinstance(expression, Compare)
    field, value = expression.field, expression.value
    if expression.op == "exists":
        return _has(_present(field))
    if expression.op == "none":
        return _has(_equal(field, None))
    if expression.op in ("==", "!=", "in", "not in"):
        listed = value if isinstance(value, tuple) else (value,)
        any_of = " or ".join(_has(_equal(field, one)) for one in listed)
        return f"not ({any_of})" if expression.op in ("!=", "not in") else f"({any_of})"
    assert isinstance(value, int | float)
    return f'({_has(_a_number(field))} and $meta["{_number(field)}"] {expression.op} {_literal(value)})'


def _has(digest: str) -> str:
    return f'{FIELDS} like "% {digest} %"'


def _number(field: str) -> str:
    return f"n{_a_number(field)}"


@lru_cache(maxsize=4096)
def _present(field: str) -> str:
    return _digest("exists", field)


@lru_cache(maxsize=4096)
def _a_number(field: str) -> str:
    return _digest("number", field)


def _equal(field: str, value: Field | Scalar) -> str:
    return _digest("value", field, value)


def _literal(value: float) -> str:
    return repr(float(value)) if value == _LEAST_INTEGER else repr(value)  # its digits alone are beyond 64 bits


def _digest(kind: str, field: str, *value: Field | Scalar) -> str:
    return hashlib.sha256(json.dumps([kind, field, *value]).encode()).hexdigest()[:16]
