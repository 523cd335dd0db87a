"""Filters as users of frameworks write them."""

from __future__ import annotations

import pytest

from embedkit import F, FilterError
from embedkit.integrations.filters import filter_of


def test_the_forms():
    one = F("year") >= 2020
    assert filter_of(None) is None
    assert filter_of({}) is None
    assert filter_of(one) is one
    assert filter_of("year >= 2020") == one
    assert filter_of({"year": 2020, "lang": ["en", "de"]}) == ((F("year") == 2020) & F("lang").is_in(["en", "de"]))


@pytest.mark.parametrize("given", [7, ["year"], {"year": {"$gt": 1}}, "year"])
def test_what_is_none(given):
    with pytest.raises(FilterError):
        filter_of(given)
