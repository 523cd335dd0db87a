"""What stands behind the token vectors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from embedkit import ExportError, InputError
from embedkit_export.modules.pooling import Pool
from embedkit_export.plan.heads import closing_id, pools_of
from embedkit_export.recipes.recipe import Pooling
from embedkit_export.sources.source import Source
from embedkit_export.sources.weight_files import Weights
from helpers import models


@pytest.fixture(scope="module")
def origin() -> Source:
    model, tokenizer = models.make("bert")
    return Source("bert", model, tokenizer)


def test_modes_one_after_the_other(origin: Source) -> None:
    pools, after = pools_of(Pooling(mode=["mean", "first"]), origin, Weights([], None), "here", padded=False)
    assert [type(pool) for pool in pools] == [Pool, Pool]
    assert after == []
    pools, after = pools_of(Pooling(mode="pooler"), origin, Weights([], None), "here", padded=False)
    assert len(pools) == len(after) == 1
    own = torch.nn.Identity()
    assert pools_of(own, origin, Weights([], None), "here", padded=False) == ([own], [])


@pytest.mark.parametrize(
    ("pooling", "error", "problem"),
    [
        (7, InputError, "here: pooling: expected a mode"),
        (Pooling(mode="attention"), InputError, "needs `weights`"),
        (Pooling(mode=["pooler", "mean"]), ExportError, "cannot be joined"),
        (Pooling(mode="mean", padding=True), ExportError, "give a fixed length"),
    ],
)
def test_what_cannot_be_pooled(origin: Source, pooling: object, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        pools_of(pooling, origin, Weights([Path()], None), "here", padded=False)


def told(own: int | None, words: int | None) -> Any:
    """What a source says of the token that closes a text."""
    tokenizer = SimpleNamespace(eos_token_id=words, mask_token_id=4)
    return SimpleNamespace(backbone=SimpleNamespace(eos_token_id=own), tokenizer=tokenizer)


@pytest.mark.parametrize(("own", "words", "expected"), [(7, 3, 7), (2, 3, 3), (None, 3, 3), (None, None, None)])
def test_the_token_that_closes_a_text(own: int | None, words: int | None, expected: int | None) -> None:
    assert closing_id(told(own, words)) == expected


def test_a_pool_at_that_token() -> None:
    weights = Weights([], None)
    made: list[Any] = pools_of(Pooling(mode=["eos", "highest", "mean"]), told(7, 3), weights, "here", padded=False)[0]
    assert [(pool.mode, pool.eos_id) for pool in made] == [("eos", 7), ("highest", None), ("mean", None)]
    with pytest.raises(ExportError, match="names no token that closes a text"):
        pools_of(Pooling(mode="eos"), told(None, None), weights, "here", padded=False)
