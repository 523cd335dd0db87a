"""The tokens of texts, shown; against the tokenizers library."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from embedkit import Bundle, InputError
from embedkit.runtime.frontends.text.tokens import KeptTokens, TokenReader
from helpers.small_bundles import of_ids


def test_tokens_and_back(bundle: Path) -> None:
    reader = TokenReader.of(Bundle.open(bundle), "query")
    own = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    for text in ("tea", "", "héllo 🎉", "x" * 500):
        found = reader.tokens(text)
        assert [one.id for one in found] == own.encode(text).ids
        assert [one.special for one in found] == [True] + [False] * (len(found) - 2) + [True]
        assert reader.tokens(text, special=False) == found[1:-1]
        assert reader.decode([one.id for one in found]) == own.decode(own.encode(text).ids)
        for one in found[1:-1]:
            assert one.start is not None
            assert one.text == text[one.start : one.stop]
    assert reader.decode([256], special=True) == "<s>"


def test_what_is_refused(bundle: Path) -> None:
    reader = TokenReader.of(Bundle.open(bundle), "default")
    for ids in ([259], [-1], [True], ["a"], [2**40]):
        with pytest.raises(InputError, match="ids: expected ids"):
            reader.decode(ids)  # type: ignore[arg-type]
    for text in (7, "\ud800"):
        with pytest.raises(InputError):
            reader.tokens(text)  # type: ignore[arg-type]


def test_the_tokens_that_vectors_stand_for(bundle: Path) -> None:
    kept = KeptTokens(Bundle.open(bundle), "document")
    assert kept.of("tea") == ["<s>", "t", "e", "a", "</s>"]
    assert (kept.size, kept.shown(ord("t")), kept.shown(ord(" ")), kept.shown(999)) == (259, "t", "Ġ", "#999")


def test_a_role_that_reads_no_texts_has_no_tokens(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads ids, and no texts"):
        KeptTokens(Bundle.open(of_ids(tmp_path / "ids")), "default")
