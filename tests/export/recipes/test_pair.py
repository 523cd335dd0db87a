"""The head for pairs as a recipe names it."""

from __future__ import annotations

import pytest

from embedkit.errors import InputError
from embedkit_export.recipes.pair import Pair, checked_pair


def test_a_table_is_a_pair_and_a_pair_itself() -> None:
    made = checked_pair({"stages": [], "features": ["left"]})
    assert made == Pair(stages=[], features=["left"])
    assert checked_pair(made) is made
    assert Pair(stages=[]).features == ["left", "right", "product", "difference"]


@pytest.mark.parametrize("given", [{}, {"stages": [], "features": ["sum"]}, {"stages": 1}, None])
def test_what_is_no_pair_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="pair: .*found"):
        checked_pair(given)
