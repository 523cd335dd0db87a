"""The way by which a model's own vectors come out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from embedkit_export.modules.audio.sounds import FirstTokens
from embedkit_export.plan.detection.media.ways import Way, found_way
from embedkit_export.recipes.recipe import Pooling


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    dense = nn.Linear(6, 6)
    return SimpleNamespace(pooler=SimpleNamespace(dense=dense, activation=nn.Tanh()))


def test_the_first_that_gives_the_same(model: Any) -> None:
    hidden, linear = torch.randn(3, 5, 6), nn.Linear(6, 4)
    ways: list[Way] = [
        (Pooling(mode="mean"), [], "mean"),
        (Pooling(mode="pooler"), [], "pooler"),
        (FirstTokens(2), [linear], "two"),
        (Pooling(mode="first"), [linear], "first"),
        (Pooling(mode="last"), [], "last"),
        (Pooling(mode="last"), [], "again"),
    ]
    expected = {
        "mean": hidden.mean(dim=1),
        "pooler": torch.tanh(model.pooler.dense(hidden[:, 0])),
        "two": linear(hidden[:, :2].mean(dim=1)),
        "first": linear(hidden[:, 0]),
        "last": hidden[:, 4],
    }
    with torch.no_grad():
        for name, vectors in expected.items():
            way = found_way(ways, hidden, model, vectors)
            assert way is not None
            assert way[2] == name
        assert found_way(ways, hidden, model, hidden[:, 1]) is None
        # A way that this model has not is passed over.
        assert found_way(ways, hidden, SimpleNamespace(), hidden[:, 4]) is not None
