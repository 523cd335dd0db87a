"""Texts in which models and their look-alikes are compared, and of which the look-alikes' vocabularies are made."""

from __future__ import annotations

import random

SENTENCES = (
    "The harbour was quiet before the storm, and two boats lay side by side.",
    "Knead the dough for ten minutes until it springs back; then let it rest.",
    "Le bateau entre au port à l'aube, près du café fermé.",
    "Die Straße führt über die Brücke zum alten Bahnhof.",
    "def parse(line: str) -> list[int]: return [int(x) for x in line.split(',')]",
    "北京的秋天很美，我们去看红叶。",
    "Где находится ближайшая станция метро?",
    "Photosynthesis turns light, water and CO2 into sugar (C6H12O6).",
    "What is the capital of Australia, and why isn't it Sydney?",
    "Canberra was chosen in 1908 as a compromise between Sydney and Melbourne.",
    'Titanic: a 1997 film!!! 4/5 stars... "unsinkable"',
    "yes no true false Yes No 0 1 query document passage search",
)
WORDS = " ".join(SENTENCES).split()
_RANDOM = random.Random(16)

TEXTS = (
    *SENTENCES[:6],
    "a",
    "UPPER lower Ünïcödé naïve",
    "two\nlines  and   spaces ",
    " ".join(_RANDOM.choices(WORDS, k=40)),
    " ".join(_RANDOM.choices(WORDS, k=700)),
)
"""Of one word, of other scripts and cases, and of more than many models read."""

PAIRS = tuple((SENTENCES[8 - i % 3], TEXTS[i]) for i in range(len(TEXTS)))
"""A question, and what may be an answer."""


def sample() -> list[dict[str, str]]:
    """Records for an export: a text, which is also a question with a document."""
    rows = [" ".join(_RANDOM.choices(WORDS, k=2 + i % 17)) for i in range(24)]
    return [{"text": row, "query": row, "document": rows[-1 - i]} for i, row in enumerate(rows)]
