"""What of a row can be filtered on, as terms and numbers; and from a filter to the slots of rows, by sets of slots.

Sets are asked for all at once, and put together here, as an array of a truth value for each slot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.stores import ORDERINGS, Combine, Compare, Filter, Metadata, Not, filterable, term

Mask: TypeAlias = npt.NDArray[np.bool_]


def index_of(metadata: Metadata) -> str:
    """What a row is found by, as JSON: the terms of its fields and of their values, and the fields with numbers, as text."""
    fields = filterable(metadata)
    terms = [term(name) for name in fields]
    terms += [term(name, value) for name, value in fields.items() if not isinstance(value, list)]
    numbers = [[term(name), repr(float(value))] for name, value in fields.items() if _is_number(value)]  # type: ignore[arg-type]
    return json.dumps([terms, numbers])


def commands(expression: Filter | None, at: str) -> Iterator[list[Any]]:
    """The commands whose answers `mask` needs, in its order."""
    if isinstance(expression, Not):
        yield from commands(expression.part, at)
    elif isinstance(expression, Combine):
        for part in expression.parts:
            yield from commands(part, at)
    elif isinstance(expression, Compare):
        yield _command(expression, at)


def mask(expression: Filter | None, answers: Iterator[Any], alive: Mask) -> Mask:
    """Which of the slots hold rows that satisfy the filter, of those that are ``alive``."""
    if isinstance(expression, Not):
        return alive & ~mask(expression.part, answers, alive)
    if isinstance(expression, Combine):
        parts = [mask(part, answers, alive) for part in expression.parts]
        return np.asarray((np.logical_and if expression.op == "and" else np.logical_or).reduce(parts))
    if expression is None:
        return alive
    assert isinstance(expression, Compare)
    found = np.zeros_like(alive)
    found[np.fromiter(next(answers), np.int64)] = True
    return alive & ~found if expression.op in ("!=", "not in") else found


def _command(leaf: Compare, at: str) -> list[Any]:
    field, value = leaf.field, leaf.value
    if leaf.op == "exists":
        return ["SMEMBERS", f"{at}:term:{term(field)}"]
    if leaf.op in ORDERINGS:
        assert isinstance(value, int | float)
        bound = repr(float(value))
        low, high = (f"({bound}" if leaf.op == ">" else bound), "+inf"
        if leaf.op in ("<", "<="):
            low, high = "-inf", (f"({bound}" if leaf.op == "<" else bound)
        return ["ZRANGEBYSCORE", f"{at}:order:{term(field)}", low, high]
    values = [None] if leaf.op == "none" else value if isinstance(value, tuple) else (value,)
    # one of no value: the name of no term
    return ["SUNION", *([f"{at}:term:{term(field, one)}" for one in values] or [f"{at}:term:"])]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
