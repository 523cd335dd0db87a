"""From a recipe's words to torch modules: pooling and stages, with their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from embedkit.errors import ExportError, InputError
from embedkit_export.recipes.stages import (
    ActivationStage,
    Affine,
    Gate,
    LatentAttention,
    LayerNorm,
    Linear,
    Mlp,
    Normalize,
    Stage,
)
from embedkit_export.sources.weight_files import Weights

from . import layers as stages

_BATCH_STATISTICS = ("batch_norm", "whiten", "whitening", "group_whitening", "zca", "batch_whitening")


def build_stage(given: Any, weights: Weights, where: str) -> nn.Module:
    """The module of one stage. Raises `ExportError` naming the stage and what is wrong with it."""
    if isinstance(given, nn.Module):
        found = batch_statistics(given.eval())
        if found is not None:
            raise ExportError(
                f"{where}: {found} uses statistics of the batch, so a text's vector would depend on its neighbours; fit it offline and "
                "give it as a stage of kind 'affine'"
            )
        return given
    if isinstance(given, dict):
        kind = given.get("kind")
        if kind in _BATCH_STATISTICS:
            raise ExportError(
                f"{where}: {kind!r} uses statistics of the batch, so a text's vector would depend on its neighbours; fit it offline "
                "(embedkit_export.fit_whitening) and give it as a stage of kind 'affine'"
            )
        try:
            given = msgspec.convert(given, Stage)
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: {error}; found {given!r:.120}") from None
    try:
        return _built(given, weights)
    except KeyError as error:
        raise ExportError(f"{where}: the weights {getattr(given, 'weights', '')!r} hold no {error}") from None


def _built(given: Any, weights: Weights) -> nn.Module:
    if isinstance(given, Linear):
        layer: nn.Module = stages.linear(_named(weights.get(given.weights)), "x")
        layer = nn.Sequential(layer, stages.activation(given.activation))
        return stages.Residual(layer) if given.residual else layer
    if isinstance(given, Mlp):
        layers: list[nn.Module] = []
        for reference in given.weights:
            layers += [stages.linear(_named(weights.get(reference)), "x"), stages.activation(given.activation)]
        whole = nn.Sequential(*layers[:-1])
        return stages.Residual(whole) if given.residual else whole
    if isinstance(given, LayerNorm):
        return stages.layer_norm(_named(weights.get(given.weights)), "x", given.eps)
    if isinstance(given, ActivationStage):
        return stages.activation(given.function)
    if isinstance(given, Affine):
        found = weights.get(given.weights)
        parts: list[nn.Module] = [stages.Shift(found["shift"].float())] if "shift" in found else []
        if "matrix" in found:
            parts.append(stages.linear({"x.weight": found["matrix"].T}, "x"))
        if not parts:
            raise KeyError("shift or matrix")
        return nn.Sequential(*parts)
    if isinstance(given, Gate):
        return stages.Gate(stages.linear(_named(weights.get(given.weights)), "x"))
    if isinstance(given, Normalize):
        return stages.Normalize()
    if isinstance(given, LatentAttention):
        return stages.LatentAttention(weights.get(given.weights), given.heads)
    raise InputError(f"stages: expected a table, a stage or a module of torch, found {type(given).__name__}")


def _named(found: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"x.{key}": value for key, value in found.items()}


def batch_statistics(module: nn.Module) -> str | None:
    """The batch normalisation that computes with the batch that it is given, by its class and name: without running statistics, or
    in training mode; None where there is none."""
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and (part.running_mean is None or part.training):
            return f"{type(part).__name__} {name!r}"
    return None


def check_independent(module: Callable[[Tensor], Tensor], dim: int, where: str, name: str) -> int:
    """The width that ``module`` gives (batch, n, ``dim``) numbers; `ExportError` where a row's result depends on the
    other rows."""
    x = torch.randn(5, 2, dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        try:
            together = module(x)
            alone = torch.cat([module(row[None]) for row in x])
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ExportError(f"{where}: {name} cannot take (batch, 2, {dim}) vectors: {reason}") from error
    if together.shape != alone.shape or not torch.allclose(together, alone, atol=1e-4, rtol=1e-4):
        raise ExportError(
            f"{where}: {name} uses statistics of the batch: a row alone gives another result than among others; "
            "fit it offline and give it as a stage of kind 'affine'"
        )
    return int(together.shape[-1])
