"""Tokens of texts, in a vocabulary in which each byte is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from embedkit import Bundle, InputError
from embedkit.bundle.manifest import Part, TextFrontend, Truncate
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.frontends.text.token_counter import TokenCounter


def counter(file: Path, *parts: Part) -> TokenCounter:
    return TokenCounter(
        Template(TextFrontend(tokenizer="tokenizer.json", template=list(parts), truncate=Truncate(max=9))), file
    )


@pytest.fixture
def file(bundle: Path) -> Path:
    return Bundle.open(bundle).path("tokenizer.json")


@pytest.mark.parametrize("text", ["", "abc", "héllo 日本", "long " * 100])
def test_nothing_is_cut(text: str, file: Path) -> None:
    found = counter(file, Part(lit="q: "), Part(field="text"))
    assert (found.max_tokens, found.own) == (9, 2 + len("q: "))
    assert found.whole(text, {}) == found.own + len(text.encode())


def test_fields_of_the_metadata_count(file: Path) -> None:
    found = counter(file, Part(field="title", default="none"), Part(lit=": "), Part(field="text"))
    assert found.own == 2 + len(": ")
    assert found.whole("body", {"title": "ab", "other": "x" * 50}) == 2 + len("ab: body")
    assert found.whole("body", {}) == 2 + len("none: body")
    with pytest.raises(InputError, match="field 'title': expected a string, found int"):
        found.whole("body", {"title": 3})


def test_where_tokens_end(file: Path) -> None:
    found = counter(file, Part(lit="q: "), Part(field="text"))
    assert found.ends("abc") == [1, 2, 3]
    assert found.ends("") == []


def test_a_text_without_tokens_for_it_is_named(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = counter(tmp_path / "tokenizer.json", Part(field="text"))
    assert found.whole("a a", {}) == 2
    with pytest.raises(InputError, match="cannot encode 'a zebra'"):
        found.whole("a zebra", {})


def test_the_ids_of_what_is_encoded(file: Path) -> None:
    found = counter(file, Part(lit="q: "), Part(field="text"))
    assert found.ids("é") == [256, *"q: é".encode(), 257]
    with pytest.raises(InputError, match="text: expected"):
        found.ids(3)  # type: ignore[arg-type]
