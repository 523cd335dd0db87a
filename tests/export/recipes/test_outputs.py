"""Outputs as a recipe names them."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.errors import InputError
from embedkit_export.recipes.outputs import checked_output, similarity
from embedkit_export.recipes.recipe import Recipe


@pytest.mark.parametrize(
    ("name", "table", "compared"),
    [
        ("words", {"kind": "sparse", "top": 3}, "sparse_dot"),
        ("many", {"kind": "multivector", "similarity": "meanmaxsim"}, "meanmaxsim"),
        ("states", {"kind": "tokens"}, None),
        ("classes", {"kind": "logits", "labels": ["a"]}, None),
    ],
)
def test_a_kind_says_how_two_are_compared(name: str, table: Any, compared: str | None) -> None:
    made = checked_output(table, name)
    assert checked_output(made, name) is made
    assert similarity(Recipe(outputs={name: table}), name) == compared
    assert similarity(Recipe(similarity="dot"), "dense") == "dot"


@pytest.mark.parametrize(
    ("name", "table"),
    [("a b", {"kind": "tokens"}), ("dense", {"kind": "tokens"}), ("x", {"kind": "sparse", "top": 0}), ("x", 3)],
)
def test_what_is_no_output_is_refused(name: str, table: Any) -> None:
    with pytest.raises(InputError, match="outputs: "):
        checked_output(table, name)
