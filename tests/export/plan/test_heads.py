"""What stands behind the token vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from embedkit import ExportError, InputError
from embedkit_export.modules.pooling import Pool
from embedkit_export.plan.heads import pools_of
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
