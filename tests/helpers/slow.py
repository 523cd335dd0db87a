"""Cases of one kind, of which a quick run takes some: the others are marked ``slow``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable
from typing import Any, TypeVar

import pytest

_Tests = TypeVar("_Tests", bound=type)
_OF_THE_ENGINE = (
    "test_every_comparison",
    "test_presence",
    "test_order_of_text",
    "test_order_of_large_numbers",
    "test_equality_of_large_numbers",
    "test_many_comparisons_in_a_filter",
    "test_many_values_in_a_filter",
    "test_many_ids",
    "test_too_many_levels_of_a_filter_are_refused",
    "test_any_string_is_a_collection_name",
    "test_the_nearest_are_those_of_a_comparison_with_all",
    "test_products_are_of_vectors_of_any_size_whatever_the_metric",
    "test_raw_filters_are_exact_within_the_capabilities",
    "test_raw_the_nearest_come_best_first",
)


def but(quick: Container[Any], cases: Iterable[Any]) -> list[Any]:
    """The cases for `pytest.mark.parametrize`, all but the ``quick`` ones (by the first of several values) marked as slow."""
    found = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        found.append(case if values[0] in quick else pytest.param(*values, marks=pytest.mark.slow))
    return found


def after(quick: int, cases: Iterable[Any]) -> list[Any]:
    """The cases for `pytest.mark.parametrize`, all after the first ``quick`` ones marked as slow."""
    found: list[Any] = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        found.append(case if len(found) < quick else pytest.param(*values, marks=pytest.mark.slow))
    return found


def another_form(tests: _Tests) -> _Tests:
    """Decorates the `StoreTests` of a store that has them in another form already (a folder beside a server): the costly ones
    that ask what its engine computes, each operator with each value, are marked as slow here."""
    for name in _OF_THE_ENGINE:
        setattr(tests, name, pytest.mark.slow(_copy(getattr(tests, name))))
    return tests


def _copy(test: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(test)
    def same(*given: Any, **named: Any) -> None:
        test(*given, **named)

    return same
