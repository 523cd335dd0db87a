"""Tokens of texts, in a vocabulary in which each byte is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from embedkit import Bundle, InputError, TokenCounter, count_tokens
from embedkit.bundle.manifest import Part, TextFrontend, Truncate
from embedkit.runtime.frontends.text.template import Template
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import of_ids


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


def test_of_a_bundle_without_its_weights(tmp_path: Path) -> None:
    place = tiny_bundle(tmp_path / "b", prefixes={"query": "query: "})
    for file in place.glob("*.onnx"):
        file.unlink()
    assert count_tokens(place, "é") == 4
    assert count_tokens(place, ["", "abc", "x" * 500], role="query") == [9, 12, 509]
    found = TokenCounter.load(place, role="query")
    assert (found.count("abc"), found.count({"text": "abc"}), found.max_tokens) == (12, 12, 64)
    for wrong, message in ((["a", 3], "text 1: expected a string"), (3, "texts: expected")):
        with pytest.raises(InputError, match=message):
            found.count(wrong)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="role: this bundle has default, query, document, found 'other'"):
        TokenCounter.load(place, role="other")


def test_of_pictures_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads ids, which has no tokens"):
        count_tokens(of_ids(tmp_path / "b"), "a")
