"""What stands behind token vectors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from embedkit import ExportError
from embedkit_export.plan.heads import closing_id, pools_of
from embedkit_export.recipes.recipe import Pooling


def origin(own: int | None, words: int | None) -> Any:
    tokenizer = SimpleNamespace(eos_token_id=words, mask_token_id=4)
    return SimpleNamespace(backbone=SimpleNamespace(eos_token_id=own), tokenizer=tokenizer)


@pytest.mark.parametrize(("own", "words", "expected"), [(7, 3, 7), (2, 3, 3), (None, 3, 3), (None, None, None)])
def test_the_token_that_closes_a_text(own: int | None, words: int | None, expected: int | None) -> None:
    assert closing_id(origin(own, words)) == expected


def test_a_pool_of_each_mode() -> None:
    made, after = pools_of(Pooling(mode=["eos", "highest", "mean"]), origin(7, 3), None, "role x", padded=False)  # type: ignore[arg-type]
    assert [(pool.mode, pool.eos_id) for pool in made] == [("eos", 7), ("highest", None), ("mean", None)]
    assert after == []
    with pytest.raises(ExportError, match="names no token that closes a text"):
        pools_of(Pooling(mode="eos"), origin(None, None), None, "role x", padded=False)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="give a fixed length"):
        pools_of(Pooling(padding=True), origin(None, None), None, "role x", padded=False)  # type: ignore[arg-type]
