"""LlamaIndex's metadata filters as embedkit's."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from embedkit.errors import FilterError
from embedkit.records.filters import F, Filter

_UNKNOWN = "a store compares a field with values, and cannot look into texts and lists"


def condition_of(filters: MetadataFilters | None) -> Filter | None:
    """The filter that is meant; None for none. `FilterError` for what stores cannot answer: parts of texts and of lists."""
    if filters is None or not filters.filters:
        return None
    parts = [condition_of(one) if isinstance(one, MetadataFilters) else _comparison(one) for one in filters.filters]
    known = [part for part in parts if part is not None]
    if not known:
        return None
    if filters.condition == FilterCondition.OR:
        return reduce(or_, known)
    whole = reduce(and_, known)
    return ~reduce(or_, known) if filters.condition == FilterCondition.NOT else whole


def _comparison(one: MetadataFilter) -> Filter:
    field, value, operator = F(one.key), one.value, one.operator
    if operator in (FilterOperator.IN, FilterOperator.NIN):
        values = list(value) if isinstance(value, list | tuple | set) else [value]
        return field.is_in(values) if operator == FilterOperator.IN else field.not_in(values)
    if operator == FilterOperator.IS_EMPTY:
        return ~field.exists() | field.is_none()
    found: Any = {
        FilterOperator.EQ: lambda: field == value,
        FilterOperator.NE: lambda: field != value,
        FilterOperator.GT: lambda: field > value,
        FilterOperator.GTE: lambda: field >= value,
        FilterOperator.LT: lambda: field < value,
        FilterOperator.LTE: lambda: field <= value,
    }.get(operator)
    if found is None:
        raise FilterError(
            f"filter: {one.key!r} {operator.value}: {_UNKNOWN}; use ==, !=, <, <=, >, >=, in, nin or is_empty"
        )
    made: Filter = found()
    return made
