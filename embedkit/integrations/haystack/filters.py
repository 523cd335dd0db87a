"""Haystack's filters as embedkit's, where a store can answer them exactly as Haystack means them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any

from embedkit.records.filters import F, Filter

_ORDERS = {">", ">=", "<", "<="}


def pushed(filters: Any) -> Filter | None:
    """The same filter for a store; None where it must be asked of each document in Haystack's own way: fields within fields, dates
    in texts, truth values (which Python takes for numbers), and what is no filter, of which Haystack says why."""
    if not isinstance(filters, Mapping):
        return None
    if "field" not in filters:
        return _joined(filters)
    field, operator = filters["field"], filters.get("operator")
    if not isinstance(field, str) or not field.startswith("meta.") or "." in field[5:] or "value" not in filters:
        return None
    name, value = field[5:], filters["value"]
    if operator in ("in", "not in"):
        if not isinstance(value, list) or not value or not all(_plain(one) for one in value):
            return None
        return F(name).is_in(value) if operator == "in" else F(name).not_in(value)
    if not _plain(value):
        return None
    if operator in ("==", "!="):
        same: Filter = F(name) == value if operator == "==" else F(name) != value
        return same
    if operator in _ORDERS and not isinstance(value, str):
        asked: dict[str, Filter] = {
            ">": F(name) > value,
            ">=": F(name) >= value,
            "<": F(name) < value,
            "<=": F(name) <= value,
        }
        return asked[operator]
    return None


def _joined(filters: Mapping[str, Any]) -> Filter | None:
    operator, conditions = filters.get("operator"), filters.get("conditions")
    if operator not in ("AND", "OR", "NOT") or not isinstance(conditions, list) or not conditions:
        return None
    parts = [pushed(condition) for condition in conditions]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if operator == "OR":
        either: Filter = reduce(or_, known)
        return either
    whole: Filter = reduce(and_, known)
    return ~whole if operator == "NOT" else whole


def _plain(value: object) -> bool:
    """Whether stores and Haystack compare a value alike."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return True
        return False
    return value == value and abs(value) < 2**53
