"""Text cut into words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.retrieval.analyzer import cutter


@given(st.text(max_size=60))
def test_words_are_runs_of_letters_in_lower_case(text):
    assert all(word and word == word.lower() and not re.search(r"\W", word) for word in cutter()(text))


def test_words():
    assert cutter()("Hello, WORLD-wide x_1 42 Ｆｕｌｌ ﬁne") == ["hello", "world", "wide", "x_1", "42", "full", "fine"]
    assert cutter()("東京タワー is 100m") == ["東", "京", "タ", "ワ", "ー", "is", "100m"]
    assert cutter(stopwords=["the", "of"])("The end of THE day") == ["end", "day"]
    pytest.importorskip("Stemmer")
    assert cutter("english")("connections connected") == ["connect", "connect"]
    assert cutter("de")("Häuser") == cutter("german")("Haus")
    with pytest.raises(InputError, match="stems of 'klingon'; there are for arabic"):
        cutter("klingon")
    with pytest.raises(InputError, match="stopwords: expected a list of words"):
        cutter(stopwords="the")
