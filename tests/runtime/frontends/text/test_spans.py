"""Which tokens belong to a part of a text, in a vocabulary in which each byte is a token, and in one of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from embedkit import Bundle, InputError
from embedkit.bundle.manifest import Part, PoolMask, TextFrontend, Truncate
from embedkit.runtime.frontends.text.spans import TokenSpans
from embedkit.runtime.frontends.text.template import Template


def spans(bundle: Path, *parts: Part, **more: object) -> TokenSpans:
    frontend = TextFrontend(tokenizer="t", template=list(parts), truncate=Truncate(max=9), **more)
    return TokenSpans(Template(frontend), Bundle.open(bundle).path("tokenizer.json"))


def places(members: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in members]


def test_special_tokens_go_with_the_ends(bundle: Path) -> None:
    found = spans(bundle, Part(field="text")).members("ab cd", [(0, 2), (3, 5), (1, 4), (0, 5)])
    assert places(found) == [[0, 1, 2], [4, 5, 6], [2, 3, 4], [*range(7)]]


def test_the_template_goes_with_the_ends_and_other_fields_too(bundle: Path) -> None:
    own = spans(bundle, Part(field="title"), Part(lit=":"), Part(field="text"), Part(lit="!"))
    found = own.members({"title": "T", "text": "ab"}, [(0, 1), (1, 2)])
    assert places(found) == [[0, 1, 2, 3], [4, 5, 6]]


def test_tokens_that_are_not_pooled_belong_to_none(bundle: Path) -> None:
    own = spans(bundle, Part(lit="q:"), Part(field="text"), pool_mask=PoolMask(drop=["special", "prefix"]))
    assert places(own.members("ab", [(0, 1), (1, 2), (0, 2)])) == [[3], [4], [3, 4]]


@given(st.text("aé日🎉 ", max_size=9), st.data())
def test_every_token_is_in_the_whole_and_in_its_characters(bundle: Path, text: str, data: st.DataObject) -> None:
    """The bytes of each character are tokens, counted here by hand."""
    own = spans(bundle, Part(lit="p "), Part(field="text"))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    whole, part = own.members(text, [(0, len(text)), (start, end)])
    assert whole.all()
    first = 3 + len(text[:start].encode())
    expected = [*range(first, first + len(text[start:end].encode()))]
    expected = [*range(3), *expected] if start == 0 and text else expected
    expected = [*expected, len(whole) - 1] if end == len(text) and text else expected
    if text and start < end:
        assert np.flatnonzero(part).tolist() == expected


def test_a_token_of_two_parts_is_in_both_and_a_mark_of_words_in_the_first(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"▁": 0, "▁ab": 1, "▁cd": 2, "u": 3}, unk_token="u"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    frontend = TextFrontend(tokenizer="t", template=[Part(field="text")], truncate=Truncate(max=9))
    own = TokenSpans(Template(frontend), tmp_path / "tokenizer.json")
    assert places(own.members("ab cd", [(0, 1), (1, 2), (3, 5), (2, 3)])) == [[0], [0], [1], [1]]


def test_a_text_without_tokens_for_it_is_named(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    frontend = TextFrontend(tokenizer="t", template=[Part(field="text")], truncate=Truncate(max=9))
    with pytest.raises(InputError, match="cannot encode 'zebra'"):
        TokenSpans(Template(frontend), tmp_path / "tokenizer.json").members("zebra", [(0, 5)])
