"""What a manifest may say of sequences of ids."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.bundle.frontends.ids import IdsFrontend


def test_lengths() -> None:
    assert (IdsFrontend(size=9, max=4).fixed, IdsFrontend(size=9, max=4).least) == (None, 0)
    made = IdsFrontend(size=9, max=4, length=6)
    assert (made.fixed, made.least, made.longest, made.kind, made.files) == (6, 6, 4, "ids", ())


@pytest.mark.parametrize(
    ("wrong", "problem"), [({"pad_id": 9}, "below `size`"), ({"length": 3}, "`length` of at least")]
)
def test_what_makes_no_sense(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        IdsFrontend(size=9, max=4, **wrong)
