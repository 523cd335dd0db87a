"""Filters as text: one clause, such as ``year>=2020``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime

from embedkit.checks import check_text
from embedkit.errors import FilterError

from .filters import Combine, F, Filter, Not

_OPERATORS: dict[str, Callable[[F, object], Filter]] = {
    "==": F.__eq__,
    "!=": F.__ne__,
    "<": F.__lt__,
    "<=": F.__le__,
    ">": F.__gt__,
    ">=": F.__ge__,
}


_CLAUSE = re.compile(
    r"\s*(?P<field>[^\s<>=!]+)\s*(?P<op>==|!=|<=|>=|=|<|>|\bnot in\b|\bin\b)\s*(?P<value>.+?)\s*\Z", re.DOTALL
)


_PRESENCE = re.compile(r"\s*(?P<field>[^\s<>=!]+)\s+(?P<op>exists|not exists)\s*\Z")


def parse_filter(text: str) -> Filter:
    """One clause as typed on a command line: ``year>=2020``, ``lang=en``, ``lang in ["en","de"]``, ``when exists``.

    The value is read as JSON where it is JSON (``2020``, ``true``, ``null``, ``"2020"``), else as plain text. A date or
    time in ISO 8601 that is not quoted is compared with times as well as with text: it finds what was stored as either.
    """
    check_text(text, "filter")
    if presence := _PRESENCE.match(text):
        found = F(presence["field"]).exists()
        return found if presence["op"] == "exists" else Not(found)
    match = _CLAUSE.match(text)
    if not match:
        raise FilterError(
            f"cannot read the filter {text!r}: write FIELD OP VALUE with one of == != < <= > >= in 'not in', "
            'or FIELD exists, for example  year>=2020  or  lang in ["en","de"]'
        )
    op, raw = match["op"], match["value"]
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        value = raw
    field = F(match["field"])
    if op in ("in", "not in"):
        if not isinstance(value, list) or not value:
            raise FilterError(
                f'the filter {text!r} needs a JSON list with some value after {op!r}, for example  lang in ["en","de"]'
            )
        return field.is_in(value) if op == "in" else field.not_in(value)
    compare = _OPERATORS["==" if op == "=" else op]
    moment = _iso_moment(raw)
    if moment is None:
        return compare(field, value)
    either = compare(field, moment), compare(field, raw)
    return Combine("and" if op == "!=" else "or", either)


def _iso_moment(text: str) -> date | None:
    """The date or datetime that ``text`` is in ISO 8601, if it is one with at least year, month and day."""
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    kind = date if len(text) == len("2024-05-01") else datetime
    try:
        return kind.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
