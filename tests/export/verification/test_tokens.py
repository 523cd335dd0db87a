"""The reference's tokens, against the tokenizer of transformers and plain slices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from embedkit.bundle.manifest import Part, PoolMask, TextFrontend, Truncate
from embedkit_export.verification import tokens
from helpers import models


def frontend(**options: Any) -> TextFrontend:
    made = TextFrontend(
        tokenizer="tokenizer.json",
        template=[Part(lit="a recipe "), Part(field="text")],
        truncate=Truncate(max=options.pop("limit", 12), mode="smart", applies_to="all"),
        pad="longest",
        pad_id=0,
    )
    return msgspec.structs.replace(made, **options)


def test_tokens_are_those_of_the_tokenizer() -> None:
    tokenizer = models.make_tokenizer("word")
    for text in ("bread", "the harbour was quiet and the last boat had already left", ""):
        expected = tokenizer("a recipe " + text, truncation=True, max_length=12)["input_ids"]
        ids, types, pool = tokens.tokens(tokenizer, frontend(), text)
        assert ids == expected
        assert (types, pool) == ([0] * len(ids), [1] * len(ids))


def test_special_tokens_are_not_pooled() -> None:
    left_out = PoolMask(drop=["special", "first:2"], ids=[])
    ids, _, pool = tokens.tokens(models.make_tokenizer("word"), frontend(pool_mask=left_out), "bread")
    assert pool == [0, 0, *[1] * (len(ids) - 3), 0]


@pytest.mark.parametrize(("keep", "expected"), [("last", [3, 4]), ("first", [1, 2])])
def test_a_sequence_is_cut_on_its_side(keep: str, expected: list[int]) -> None:
    assert tokens.sequence(SimpleNamespace(keep=keep, max=2), [1, 2, 3, 4]) == expected
