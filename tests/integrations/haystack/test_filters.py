"""What of Haystack's filters goes to a store means the same there."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("haystack")

from haystack import Document
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter

from embedkit.integrations.haystack.filters import pushed
from embedkit.records.metadata import filterable

VALUES = [None, 0, 1, -2, 2.5, "a", "b", "1", "", "1970-01-01", True, False, [1], {"b": 1}]
METAS = [{}, *({"x": value} for value in VALUES)]
CONDITIONS = [
    {"field": "meta.x", "operator": operator, "value": value}
    for operator, value in itertools.product(["==", "!=", ">", ">=", "<", "<="], VALUES)
] + [
    {"field": "meta.x", "operator": operator, "value": value}
    for operator in ("in", "not in")
    for value in ([], [1, "a"], ["b"], 7)
]


@pytest.mark.parametrize("condition", [*CONDITIONS, {"operator": "NOT", "conditions": CONDITIONS[1:3]}], ids=str)
def test_a_store_is_asked_what_haystack_means(condition):
    found = pushed(condition)
    for meta in METAS:
        try:
            expected = document_matches_filter(condition, Document(content="c", meta=meta))
        except (FilterError, TypeError):
            continue  # such values cannot be compared in Haystack, and are no hits here
        if found is not None and not isinstance(meta.get("x"), bool):
            assert found.matches(filterable(meta)) == expected, meta


@pytest.mark.parametrize(
    "filters",
    [
        None,
        7,
        {},
        {"operator": "XOR", "conditions": []},
        {"field": "meta.x"},
        {"field": "content", "operator": "==", "value": 1},
        {"field": "meta.x.y", "operator": "==", "value": 1},
        {"operator": "AND", "conditions": [{"field": "meta.x"}]},
    ],
)
def test_the_others_are_left_to_haystack(filters):
    assert pushed(filters) is None
