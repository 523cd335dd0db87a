"""Front matter: what is some, what its values are, and what only looks like it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.ingestion.readers.documents.front_matter import NoFrontMatter, split_front_matter
from embedkit.records.metadata import dump_metadata

pytest.importorskip("yaml")


def value(text: str) -> object:
    body, found = split_front_matter(f"---\nkey: {text}\n---\nbody")
    assert (body, list(found)) == ("body", ["key"])
    return found["key"]


@pytest.mark.parametrize(
    "text",
    ["NO", "no", "Yes", "on", "OFF", "y", "n", "12:30", "1:30:00", "0123", "0o17", "0x1F", "0b11", "1_000", "+5", "+49123",
     "1e5", "1.5e3", "123e4567", ".5", "5.", "1.2.3", "=", "<<", "2024-99-99", "2024-5-1", "v1.0", "007", "-", "١٢"],
)  # fmt: skip
def test_surprises_of_yaml_stay_text(text: str) -> None:
    assert value(text if text != "-" else "'-'") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("1.5e+3", 1500.0),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!timestamp soon", "soon"),
        ("!!int soon", "soon"),
        ("Tea and more", "Tea and more"),
        ("2024-05-01", date(2024, 5, 1)),
        ("2024-05-01 12:30:00", datetime(2024, 5, 1, 12, 30)),
        ("2024-05-01T12:30:00Z", datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("[a, NO, 1]", ["a", "NO", 1]),
        ("{a: 12:30, 0123: b}", {"a": "12:30", "0123": "b"}),
        ("|\n  two\n  lines", "two\nlines\n"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_text_as_they_are_written() -> None:
    _, found = split_front_matter("---\nNO: 1\n0123: 2\n12:30: 3\nnull: 4\n2024-05-01: 5\n1.0: 6\n---\n")
    assert list(found) == ["NO", "0123", "12:30", "null", "2024-05-01", "1.0"]


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nProse.\n\n---\n\nMore.",
        "---\n\n# A heading\n\n---\n",
        "---\n# A heading\n---\nmore",
        "---\n\nNote: a colon.\n\n---\n",
        "---\n \ntitle: no\n---\n",
        "---\nProse\nof two lines.\n---\n",
        "---\n\n---\n",
        "---\r\n\r\nProse.\r\n---\r\n",
        "---\nnever closed: 1",
        "--- \ntext",
        "text\n---\na: b\n---\n",
    ],
)
def test_a_file_that_begins_with_a_thematic_break_is_text(text: str) -> None:
    assert split_front_matter(text) == (text, {})


def test_what_ends_it() -> None:
    assert split_front_matter("---\na: b\n...\nbody") == ("body", {"a": "b"})
    assert split_front_matter("---\na: b\n---") == ("", {"a": "b"})
    assert split_front_matter("---  \r\na: b\r\n---\t\r\n\r\nbody\r\n") == ("body\r\n", {"a": "b"})
    assert split_front_matter("---\n---\nbody") == ("body", {})
    assert split_front_matter("---\na: '---'\nb: |\n  ---\n---\nbody") == ("body", {"a": "---", "b": "---\n"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b", "expected 'key: value' lines, found list"),
        ("a: b: c", "mapping values are not allowed here"),
        ("a: [1", "while parsing"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: !mine x", "the tag !mine is not read"),
        ("a: !!set {x}", "the tag tag:yaml.org,2002:set is not read"),
        ("a: !!binary aGk=", "the tag tag:yaml.org,2002:binary is not read"),
        ("? [a, b]\n: c", "expected text as a key"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is there twice"),
        ("a: \x01", "special characters are not allowed"),
        ("a: 1\n--- # no\nb: 2", "expected a single document"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, reason: str) -> None:
    with pytest.raises(NoFrontMatter, match=reason):
        split_front_matter(f"---\n{text}\n---\n")


@given(st.text(st.sampled_from("ab:-#[]{}&*!|>'\"%@,?~. \n\t\r01NO=<\x01é"), max_size=30))
def test_any_text_is_read_or_is_told(inside: str) -> None:
    text = f"---\n{inside}\n---\nbody"
    try:
        body, found = split_front_matter(text)
    except NoFrontMatter:
        return
    assert text.endswith(body)
    dump_metadata(found)
