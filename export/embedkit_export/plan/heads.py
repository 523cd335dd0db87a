"""What stands behind the token vectors: pooling with the stages that it brings, and the head of a pair."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from embedkit.errors import ExportError, InputError
from embedkit_export.modules.builders import build_stage
from embedkit_export.modules.pair_head import PairHead
from embedkit_export.modules.pooling import AttentionPool, Pool
from embedkit_export.quiet import reason
from embedkit_export.recipes.pair import checked_pair
from embedkit_export.recipes.recipe import Pooling
from embedkit_export.sources.source import Source
from embedkit_export.sources.weight_files import Weights
from embedkit_export.tensors import DENSE

from .backbone import pooler
from .plan import Plan

OF_NO_TOKEN = 2
"""What CLIP's first configurations call the closing token, whatever it is: its text models take the largest id then."""


def pair_head(plan: Plan) -> PairHead:
    """The head that the plan's recipe says, once it takes vectors of the model's size. Raises `ExportError`, and `InputError`
    where the model gives no dense vectors."""
    given = checked_pair(plan.recipe.pair)
    dense = plan.graphs[plan.roles["default"].graph].outputs.get(DENSE)
    if plan.weights is None or dense is None:
        raise InputError("pair: expected a bundle with dense vectors, which the head reads")
    stages = (build_stage(item, plan.weights, f"pair: stage {i}") for i, item in enumerate(given.stages, 1))
    made = PairHead(given.features, nn.Sequential(*stages)).eval()
    try:
        with torch.no_grad():
            made(*torch.ones(2, 3, dense.dim))
    except Exception as error:
        size = len(given.features) * dense.dim
        raise ExportError(f"pair: the head does not take the {size} numbers that it reads: {reason(error)}") from error
    return made


def pools_of(
    pooling: Any, origin: Source, weights: Weights, where: str, *, padded: bool
) -> tuple[list[nn.Module], list[nn.Module]]:
    """The pooling modules, and the stages that they bring."""
    if isinstance(pooling, nn.Module):
        return [pooling.eval()], []
    if not isinstance(pooling, Pooling):
        raise InputError(f"{where}: pooling: expected a mode, a table or a module of torch, found {pooling!r:.80}")
    if pooling.padding and not padded:
        raise ExportError(
            f"{where}: pooling with padding makes a vector depend on the longest text beside it; give a fixed length (pad = N)"
        )
    modes = [pooling.mode] if isinstance(pooling.mode, str) else list(pooling.mode)
    pools: list[nn.Module] = []
    after: list[nn.Module] = []
    for mode in modes:
        if mode == "attention":
            if pooling.weights is None:
                raise InputError(f"{where}: pooling 'attention' needs `weights`")
            pools.append(AttentionPool(weights.get(pooling.weights), pooling.heads, padding=pooling.padding))
            continue
        if mode == "pooler":
            if len(modes) > 1:
                raise ExportError(f"{where}: pooling 'pooler' cannot be joined with other modes")
            after.append(pooler(origin.backbone, where))
        mask_id = origin.tokenizer.mask_token_id if mode == "mask" else None
        eos_id = closing_id(origin) if mode == "eos" else None
        if mode == "eos" and eos_id is None:
            raise ExportError(f"{where}: pooling 'eos': the tokenizer names no token that closes a text (eos_token)")
        pools.append(
            Pool("first" if mode == "pooler" else mode, padding=pooling.padding, mask_id=mask_id, eos_id=eos_id)
        )
    return pools, after


def closing_id(origin: Source) -> int | None:
    """The token that closes a text: as the model itself knows it (CLIP's; 2 stands for none there), else the tokenizer."""
    own = getattr(origin.backbone, "eos_token_id", None)
    found = own if isinstance(own, int) and own != OF_NO_TOKEN else origin.tokenizer.eos_token_id
    return None if found is None else int(found)
