"""What a manifest may say of texts."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.bundle.frontends.text import Part, PoolMask, TextFrontend, Truncate

FIELD = [Part(field="text")]


@pytest.mark.parametrize(
    ("pad", "fixed", "least"), [("longest", None, 0), ("fixed:16", 16, 16), ("least:12", None, 12)]
)
def test_padding(pad: str, fixed: int | None, least: int) -> None:
    made = TextFrontend(tokenizer="t.json", template=FIELD, truncate=Truncate(max=8), pad=pad)
    assert (made.fixed, made.least, made.longest, made.files, made.kind) == (fixed, least, 8, ("t.json",), "text")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"template": [Part(lit="a")]}, "at least one field"),
        ({"template": [*FIELD, *FIELD]}, "each once"),
        ({"pad": "fixed:4"}, "fixed length of at least"),
        ({"padding": "read"}, "where padding is kept or read"),
    ],
)
def test_what_makes_no_sense(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TextFrontend(**{"tokenizer": "t", "template": FIELD, "truncate": Truncate(max=8), **wrong})


def test_parts_and_cuts_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Part(lit="a", field="b")
    with pytest.raises(ValueError, match="beside the mode slice"):
        Truncate(max=4, mode="slice", applies_to="content")
    with pytest.raises(ValueError, match="something"):
        PoolMask()
