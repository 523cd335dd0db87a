"""The token vectors of which a pooled vector is the mean, so that a part of a text can be pooled by itself (late chunking)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from embedkit.bundle.manifest import TextFrontend
from embedkit.errors import ExportError
from embedkit_export.modules.heads import TokenVectors
from embedkit_export.modules.layers import Normalize, Residual, Shift
from embedkit_export.modules.pooling import Layers
from embedkit_export.recipes.recipe import Pooling, Role
from embedkit_export.recipes.recipe import pooling as as_pooling

_PLAIN = (nn.Linear, nn.Identity, nn.Dropout, Shift)
"""Of a mean they make the mean of what they make of its parts."""


def pooled_tokens(
    role: Role,
    dim: int | None,
    frontends: Sequence[Any],
    *,
    token_stages: Sequence[nn.Module],
    stages: Sequence[nn.Module],
    where: str,
) -> TokenVectors:
    """The head that gives each token's vector after all ``stages`` but a last one that brings to unit length: the pooled vector is
    their mean, then of unit length. Raises `ExportError` that names what a mean cannot stand behind."""
    pooling = as_pooling(role.pooling)
    why = _hindrance(pooling, frontends, dim) if role.dense else "the model gives no pooled vector"
    why = why or _beyond_mean(stages)
    if why:
        raise ExportError(
            f"{where}: late: {why}, so a part of a text has no vector of its own that could be pooled; export it without late, and cut "
            "documents into plain chunks"
        )
    before = [stage for stage in stages if not isinstance(stage, Normalize)]
    head = TokenVectors(nn.Sequential(*token_stages, *before), compact=False)
    head.reading = Layers(pooling.layers, pooling.join, pooling.layer_weights)
    return head


def _hindrance(pooling: Any, frontends: Sequence[Any], dim: int | None) -> str:
    if not isinstance(pooling, Pooling):
        return f"the model pools by a module of its own ({type(pooling).__name__}), and no mean of tokens"
    mode = pooling.mode if isinstance(pooling.mode, str) else " + ".join(pooling.mode)
    if mode != "mean":
        return f"the model pools by {mode!r}, and no mean of tokens"
    if pooling.padding or not pooling.masked or any(getattr(one, "padding", "") == "read" for one in frontends):
        return "the model pools more than the tokens of a text that `without` leaves"
    if not all(isinstance(one, TextFrontend) for one in frontends):
        return "the model reads no texts"
    return "" if dim is None else f"vectors are cut to {dim} numbers after they were brought to unit length (dim)"


def _beyond_mean(stages: Sequence[nn.Module]) -> str:
    """The first stage of which a mean is not the mean of what it makes of each token; empty where there is none."""
    for number, stage in enumerate(stages, 1):
        last = number == len(stages) and isinstance(stage, Normalize)
        if not last and (found := _bent(stage)) is not None:
            return f"stage {number} ({type(found).__name__}) of a mean is not the mean of what it makes of each token"
    return ""


def _bent(stage: nn.Module) -> nn.Module | None:
    """The part of a stage that is not linear, with or without a constant; None where all are."""
    if isinstance(stage, nn.Sequential):
        return next((found for part in stage if (found := _bent(part)) is not None), None)
    if isinstance(stage, Residual):
        return _bent(stage.inner) or _bent(stage.skip)
    return None if isinstance(stage, _PLAIN) else stage
