"""The texts that every export is judged on."""

from __future__ import annotations

import unicodedata

from embedkit_export.verification.texts import GOLDEN, HOSTILE, longest


def test_hostile_texts_are_of_every_kind() -> None:
    whole = "".join(HOSTILE)
    assert "" in HOSTILE
    assert any(text and not text.strip() for text in HOSTILE)
    assert {"Cc", "Cf", "Mn", "So"} <= {unicodedata.category(c) for c in whole}
    assert any(unicodedata.normalize("NFKC", text) != text for text in HOSTILE)
    assert any(ord(c) > 0xFFFF for c in whole)
    assert {"R", "AL", "L"} & {unicodedata.bidirectional(c) for c in whole} >= {"AL", "L"}
    assert max(len(text.split()) for text in HOSTILE) > 512
    assert max(len(word) for text in HOSTILE for word in text.split()) >= 300


def test_golden_texts_are_usual_and_different() -> None:
    assert len(set(GOLDEN)) == len(GOLDEN) >= 10
    assert not set(GOLDEN) & set(HOSTILE)
    assert all(text.strip() == text for text in GOLDEN)


def test_the_longest_are_longer_than_a_model_reads_and_differ() -> None:
    found = longest(["one text", "another one"])
    assert len(set(found)) >= 2
    assert all(8_192 < len(text) <= 40_000 for text in found)
    assert found[0].startswith("one text\nanother one\none text")
