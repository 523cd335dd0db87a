"""What a search has found."""

from __future__ import annotations

SUBJECTS = ("tea", "coffee", "a railway")


VERBATIM = [
    "tea\nwith a second line\r\n\tand a tab ",
    "  tea between spaces  ",
    'tea "quoted" \\ {"json": [1]} <b>&amp;</b>',
    "tea 日本語 é é \u202e \x1b[2J 🎉",
    "tea " * 2000,
]


def scores(hits):
    return {hit.id: hit.score for hit in hits}
