"""What an encoder says of itself."""

from __future__ import annotations

import pytest

from embedkit import Encoder


def test_similarity(trained: Encoder) -> None:
    vectors = trained.encode(["a cat sat on the mat", "a kitten is sitting on a rug", "quarterly tax returns"])
    scores = trained.similarity(vectors[0], vectors)
    assert scores.shape == (1, 3)
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert scores[0, 1] > scores[0, 2]
