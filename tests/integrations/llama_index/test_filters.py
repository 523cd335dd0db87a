"""LlamaIndex's filters mean what its own function says."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from embedkit import FilterError
from embedkit.integrations.llama_index.filters import condition_of
from embedkit.records.metadata import filterable

METAS = {"a": {"x": 1}, "b": {"x": 2.5}, "c": {"x": "word"}, "d": {}, "e": {"x": None}, "f": {"x": -1, "y": "z"}}
ONES = [
    MetadataFilter(key="x", operator=operator, value=value)
    for operator in (FilterOperator.EQ, FilterOperator.NE, FilterOperator.GT, FilterOperator.LTE)
    for value in (1, 2.5)
] + [
    MetadataFilter(key="x", operator=FilterOperator.EQ, value="word"),
    MetadataFilter(key="x", operator=FilterOperator.IN, value=[1, -1]),
    MetadataFilter(key="x", operator=FilterOperator.NIN, value=[1, -1]),
    MetadataFilter(key="y", operator=FilterOperator.EQ, value="z"),
]


@pytest.mark.parametrize("condition", [FilterCondition.AND, FilterCondition.OR])
@pytest.mark.parametrize("one", ONES, ids=str)
def test_as_llama_index_has_it(one, condition):
    filters = MetadataFilters(
        filters=[one, ONES[-1]] if condition == FilterCondition.OR else [one], condition=condition
    )
    theirs, found = build_metadata_filter_fn(lambda name: METAS[name], filters), condition_of(filters)
    for name, meta in METAS.items():
        try:
            expected = theirs(name)
        except TypeError:  # an order of a text and a number
            continue
        assert found.matches(filterable(meta)) == expected, (name, meta)


def test_nested_empty_and_unknown():
    nested = MetadataFilters(
        filters=[MetadataFilters(filters=[ONES[0], ONES[-1]], condition=FilterCondition.OR), ONES[1]]
    )
    assert [name for name, meta in METAS.items() if condition_of(nested).matches(filterable(meta))] == []
    empty = MetadataFilters(filters=[MetadataFilter(key="x", operator=FilterOperator.IS_EMPTY, value=None)])
    assert [name for name, meta in METAS.items() if condition_of(empty).matches(filterable(meta))] == ["d", "e"]
    negated = MetadataFilters(filters=[ONES[0]], condition=FilterCondition.NOT)
    assert [name for name, meta in METAS.items() if not condition_of(negated).matches(filterable(meta))] == ["a"]
    assert condition_of(None) is condition_of(MetadataFilters(filters=[])) is None
    with pytest.raises(FilterError, match="text_match"):
        condition_of(MetadataFilters(filters=[MetadataFilter(key="x", operator=FilterOperator.TEXT_MATCH, value="w")]))
