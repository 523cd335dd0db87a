"""What frameworks' users write for a filter: one of embedkit's, its text, or fields with their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embedkit.errors import FilterError
from embedkit.records.filter_text import parse_filter
from embedkit.records.filters import F, Filter


def filter_of(given: Any) -> Filter | None:
    """The filter that is meant; None for none. Of a mapping each field has the value, or one of a list. `FilterError` for
    anything else."""
    if given is None or isinstance(given, Filter):
        return given
    if isinstance(given, str):
        return parse_filter(given)
    if not isinstance(given, Mapping):
        raise FilterError(
            f"filter: expected an embedkit filter, its text (year >= 2020), or a mapping of fields, found {type(given).__name__}"
        )
    whole: Filter | None = None
    for name, value in given.items():
        if isinstance(value, Mapping):
            raise FilterError(
                f"filter: {name!r}: expected a value or a list of values, found a mapping; write it as text or with F"
            )
        field = F(name)
        part = field.is_in(list(value)) if isinstance(value, list | tuple | set) else field == value
        whole = part if whole is None else whole & part
    return whole
