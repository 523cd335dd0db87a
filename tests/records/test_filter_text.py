"""Filters as they are typed."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import FilterError
from embedkit.records.filter_text import parse_filter
from embedkit.records.filters import Compare, F


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("year>=2020", F("year") >= 2020),
        ("year >= 2020.5", F("year") >= 2020.5),
        ("lang=en", F("lang") == "en"),
        ("lang==en", F("lang") == "en"),
        ('lang="2020"', F("lang") == "2020"),
        ("lang != en us", F("lang") != "en us"),
        ("flag=true", F("flag") == True),  # noqa: E712
        ('lang in ["en","de"]', F("lang").is_in(["en", "de"])),
        ("year not in [1, 2]", F("year").not_in([1, 2])),
        ("a.b<1", F("a.b") < 1),
        ("x=a=b", F("x") == "a=b"),
        ("x<=>", F("x") <= ">"),
        ("inside=1", F("inside") == 1),
        ("größe>1", F("größe") > 1),
        ("x=null", F("x").is_none()),
        ("x!=null", ~F("x").is_none()),
        ("x exists", F("x").exists()),
        ("x not exists", ~F("x").exists()),
        ("x in [null, 1]", F("x").is_none() | F("x").is_in([1])),
        ('x>="2024-05-01"', F("x") >= "2024-05-01"),
        ("x>=2024-05-01", (F("x") >= date(2024, 5, 1)) | (F("x") >= "2024-05-01")),
        (
            "x!=2024-05-01T10:00:00Z",
            (F("x") != datetime(2024, 5, 1, 10, tzinfo=UTC)) & (F("x") != "2024-05-01T10:00:00Z"),
        ),
        ("x=2024-13-01", F("x") == "2024-13-01"),
    ],
)
def test_parse_filter(text, expected):
    assert parse_filter(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "=1",
        "x=",
        "x ~ 1",
        "x in 1",
        "x in []",
        "x not in []",
        "x=NaN",
        "x=[1]",
        "x<true",
        "x y=1",
        "x=" + str(2**64),
    ],
)
def test_parse_filter_refuses(text):
    with pytest.raises(FilterError):
        parse_filter(text)


@given(st.text(max_size=30))
def test_parse_filter_gives_a_filter_or_an_error(text):
    with contextlib.suppress(FilterError):
        assert isinstance(parse_filter(text), Compare)


def test_a_value_that_is_nested_without_end_is_text():
    assert parse_filter("x=" + "[" * 100_000) == (F("x") == "[" * 100_000)
