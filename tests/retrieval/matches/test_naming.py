"""What numbers and vectors are called: words where a model has them, else numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import Encoder
from embedkit.retrieval.matches.naming import Names
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import of_ids


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tiny_bundle(tmp_path_factory.mktemp("names") / "bundle", prefixes={"query": "q: "})
    return Encoder.load(folder, variant="fp32")


def test_words_of_a_vocabulary(encoder: Encoder) -> None:
    names = Names(encoder, "query")
    assert names.words([ord("a"), ord(" "), 256, 280], 300) == ["a", "Ġ", "<s>", "#280"]
    assert names.words([ord("a"), 7], 128) == ["#97", "#7"]


def test_tokens_of_a_text_with_its_template(encoder: Encoder) -> None:
    assert Names(encoder, "query").tokens("tea", 8) == ["<s>", "q", ":", "Ġ", "t", "e", "a", "</s>"]
    assert Names(encoder, "document").tokens("tea", 5) == ["<s>", "t", "e", "a", "</s>"]
    assert Names(encoder, "document").tokens("x" * 99, 64)[:2] == ["<s>", "x"]


def test_what_has_another_number_of_vectors_is_numbered(encoder: Encoder) -> None:
    assert Names(encoder, "document").tokens("tea", 3) == ["#0", "#1", "#2"]
    assert Names(encoder, "document").tokens(7, 1) == ["#0"]


def test_a_bundle_without_a_tokenizer(tmp_path: Path) -> None:
    names = Names(Encoder.load(of_ids(tmp_path / "ids")), "default")
    assert (names.words([3], 300), names.tokens([1, 2], 2)) == (["#3"], ["#0", "#1"])
