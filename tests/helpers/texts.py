"""Texts of many lengths and kinds for the tests."""

from __future__ import annotations

import random

WORDS = [
    "harbour",
    "boat",
    "quiet",
    "letter",
    "rain",
    "north",
    "wind",
    "coast",
    "bread",
    "flour",
    "patience",
    "dose",
    "patients",
    "report",
    "budget",
    "trains",
    "station",
    "travel",
    "compress",
    "archive",
    "window",
    "path",
    "string",
    "network",
    "数据",
    "Straße",
    "naïve",
    "🚀",
    "x1",
    "foo_bar()",
    "3.14",
    "https://example.org",
]


def mixed(count: int, *, longest: int = 300, seed: int = 0) -> list[str]:
    """Texts of 0 to ``longest`` words, most of them short."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=int(longest * rng.random() ** 3))) for _ in range(count)]
