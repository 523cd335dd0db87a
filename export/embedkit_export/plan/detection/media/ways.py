"""The way by which a model's own vectors of pictures or sounds come out of its token vectors: tried, one after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from embedkit_export.plan.backbone import pooler
from embedkit_export.recipes.recipe import Pooling

Way: TypeAlias = "tuple[Any, list[Any], str]"
"""A pooling, the stages behind it, and how they are called."""


def found_way(ways: Iterable[Way], hidden: Tensor, backbone: Any, expected: Tensor) -> Way | None:
    """The first way by which (batch, tokens, dim) ``hidden`` becomes ``expected``; None where none does."""
    for pooling, stages, said in ways:
        try:
            found = _tried(pooling, stages, hidden, backbone)
        except Exception:
            continue
        if found.shape == expected.shape and torch.allclose(found, expected, atol=1e-4, rtol=1e-4):
            return pooling, stages, said
    return None


def _tried(pooling: Any, stages: list[Any], hidden: Tensor, backbone: Any) -> Tensor:
    """What a way gives of token vectors."""
    if isinstance(pooling, Pooling):
        vector = hidden.mean(dim=1) if pooling.mode == "mean" else hidden[:, -1 if pooling.mode == "last" else 0]
        if pooling.mode == "pooler":
            vector = pooler(backbone, "pooling")(vector)
    else:
        vector = pooling(hidden, torch.ones(hidden.shape[:2]))[:, 0]
    for stage in stages:
        vector = stage(vector)
    return vector
