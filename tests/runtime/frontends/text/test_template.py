"""Templates: which items a role of text takes, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import pytest

from embedkit import InputError
from embedkit.bundle.manifest import Choice, Part, TextFrontend, Truncate
from embedkit.runtime.frontends.text.template import Template

TEXT, TITLE = Part(field="text"), Part(field="title")


def make(parts: list[Part], choices: Sequence[Choice] = (), **options: Any) -> Template:
    frontend = TextFrontend(tokenizer="tokenizer.json", template=parts, truncate=Truncate(max=12), **options)
    return Template(frontend, choices)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("alone", "expected a mapping with the fields 'title', 'body', found a string"),
        ({"title": "a"}, "the field 'body' is missing"),
        ({"title": "a", "body": "b", "more": "c"}, "found the field 'more'"),
        ({"title": "a", "body": None}, "field 'body': expected a string, found NoneType"),
        ({"title": "\ud800", "body": "b"}, "lone surrogate"),
        (7, "expected a string, found int"),
    ],
)
def test_a_bad_item_is_named(item: Any, message: str) -> None:
    template = make([Part(field="title"), Part(lit=" "), Part(field="body")])
    with pytest.raises(InputError, match=message):
        template.check(item, "text 3")


def test_filling_makes_an_item_that_passes() -> None:
    choice = Choice(field="domain", values={"bio": 0, "law": 1})
    template = make([Part(field="title"), Part(lit=" "), TEXT], choices=[choice])
    items = [template.fill("w1", i) for i in range(3)]
    assert [item["domain"] for item in items if not isinstance(item, str)] == ["bio", "law", "bio"]
    assert all(template.check(item, "x") == item for item in items)


def test_a_lone_string_stands_for_the_field_that_must_be_given() -> None:
    assert make([TEXT]).check("héllo", "x") == "héllo"
    optional = make([Part(field="title", default="none"), Part(lit=": "), TEXT])
    assert optional.check("a", "x") == {"text": "a"}
    assert make([TITLE, TEXT]).single is None
    # Where none must be given it is that of the name text, else the first.
    assert make([Part(field="title", default=""), Part(field="text", default="")]).single == "text"
    assert make([Part(field="title", default=""), Part(field="body", default="")]).single == "title"
    checked = optional.check("a", "x")
    assert optional.check(checked, "x") == checked, "twice is as once"


@pytest.mark.parametrize(
    ("value", "is_one"), [("a", True), ({"text": "a"}, True), (["a"], False), (b"a", False), (7, False)]
)
def test_what_is_one_item(value: object, is_one: bool) -> None:
    assert make([TEXT]).is_item(value) is is_one


def test_keys_costs_and_what_is_sent_to_others() -> None:
    template = make([TITLE, TEXT])
    one, other = {"title": "ab", "text": "cde"}, MappingProxyType({"text": "cde", "title": "ab"})
    assert template.key(one) == template.key(other) != template.key({"title": "cde", "text": "ab"})
    assert template.cost(one) == len("abcde")
    assert (template.key("ab"), template.cost("ab"), template.portable("ab")) == ("ab", 2, "ab")
    assert type(template.portable(other)) is dict
    assert template.portable(other) == one


def test_a_stored_row_gives_the_fields_of_its_metadata() -> None:
    row = {"title": "t", "lang": "en", "year": 2000}
    assert make([TEXT]).of_row("body", row) == "body"
    assert make([Part(field="body")]).of_row("body", row) == "body", "the only field, whatever its name"
    assert make([TITLE, TEXT]).of_row("body", row) == {"text": "body", "title": "t"}
    assert make([TITLE, TEXT]).of_row("body", {}) == {"text": "body"}, "what is missing is for the check to say"
    choice = Choice(field="lang", values={"en": 0, "de": 1})
    assert make([TEXT], [choice]).of_row("body", row) == {"text": "body", "lang": "en"}


def test_spread_tells_where_each_field_stands() -> None:
    parts = [
        Part(lit="q: "),
        TITLE,
        Part(pair=True),
        Part(lit="d: "),
        Part(field="text", default="none"),
        Part(lit="."),
    ]
    content, spans, prefix = make(parts).spread({"title": "two words", "text": "body"})
    assert content == ("q: two words", "d: body.")
    assert [content[segment][start:end] for segment, start, end in spans] == ["two words", "body"]
    assert prefix == "q: two wordsd: "
    assert make(parts).spread({"title": "a"})[0] == ("q: a", "d: none.")
    assert make([Part(lit="q: "), TEXT]).spread("a") == ("q: a", [(0, 3, 4)], "q: ")


def test_choices_of_the_first_token_are_fields_too() -> None:
    domain = Choice(field="domain", values={"bio": 40, "law": 41}, default="law")
    language = Choice(field="language", values={"en": 0, "de": 1})
    template = make([TEXT], [language], first_token=domain)
    assert not template.plain
    with pytest.raises(
        InputError, match="row 2: the field 'language' is missing; expected the fields 'text', 'language'"
    ):
        template.check("a", "row 2")
    with pytest.raises(InputError, match="field 'language': expected one of en, de, found 'fr'"):
        template.check({"text": "a", "language": "fr"}, "x")
    items = [template.check({"text": "a", "language": name}, "x") for name in ("de", "en")]
    assert template.choice(language, items).tolist() == [1, 0]
    assert template.choice(domain, items).tolist() == [41, 41]
