"""Collection names as databases accept them, and strings that stand for a field with its value."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.stores.plugin_kit.naming import check_cursor, safe_name, term


@given(st.text(min_size=1, max_size=200), st.integers(32, 512))
def test_safe_names_are_legal_and_stable(name, length):
    safe = safe_name(name, length)
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*[a-z0-9]", safe)
    assert 3 <= len(safe) <= length
    assert safe == safe_name(name, length)


@given(st.lists(st.text("aAbB12-_. é", min_size=1, max_size=8), min_size=2, unique=True))
def test_safe_names_keep_names_apart(names):
    mapped = [safe_name(name) for name in names]
    mapped += [safe_name(name) for name in set(mapped) - set(names)]
    assert len(set(mapped)) == len(mapped) - len({safe for safe in mapped if mapped.count(safe) > 1})
    for name, safe in zip(names, mapped, strict=False):
        assert safe == name or safe_name(safe) != safe, "a mapped name must not be the name of another collection"


def test_plain_names_stay():
    assert [safe_name(name) for name in ("docs", "a-b_c9", "x" * 63)] == ["docs", "a-b_c9", "x" * 63]
    assert safe_name("My Docs").startswith("my-docs-")
    assert safe_name("🎉").startswith("collection-")


@pytest.mark.parametrize("wrong", ["", "a", "-1", "12 ", "12\n", "é"])
def test_a_cursor_of_another_store_is_refused(wrong):
    assert check_cursor("12", "[0-9]+") == "12"
    assert check_cursor(None, "[0-9]+") is None
    with pytest.raises(InputError, match="cursor: expected that of a page"):
        check_cursor(wrong, "[0-9]+")


def test_terms_differ_where_equality_does():
    values = [1, True, 1.5, "1", "true", None, "", "x" * 1_000, "x" * 1_001, "é\0'\\", 0, False]
    terms = [term(name, value) for name in ("a", "b", 'a", 1', "x" * 1_000) for value in values]
    terms += [term(name) for name in ("a", "b", "x" * 1_000)]
    assert len(set(terms)) == len(terms)
    assert all(text.isascii() and len(text) <= 120 for text in terms)
    assert term("a", True) != term("a", 1) != term("a", "1")
