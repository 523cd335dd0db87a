"""From a recipe's words to torch modules: pooling and stages, with their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from embedkit.errors import ExportError, InputError

from . import stages
from .stages import Activation
from .weights import load_state

_BATCH_STATISTICS = ("batch_norm", "whiten", "whitening", "group_whitening", "zca", "batch_whitening")


class _Stage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind"):
    pass


class Linear(_Stage, frozen=True, tag="linear"):
    """PREFIX.weight (out, in) and, if it is there, PREFIX.bias."""

    weights: str
    activation: Activation = "identity"
    residual: bool = False


class Mlp(_Stage, frozen=True, tag="mlp"):
    """Several linear layers with the activation between them."""

    weights: list[str]
    activation: Activation = "gelu"
    residual: bool = False


class LayerNorm(_Stage, frozen=True, tag="layer_norm"):
    """PREFIX.weight and PREFIX.bias."""

    weights: str
    eps: float = 1e-5


class ActivationStage(_Stage, frozen=True, tag="activation"):
    """A function of each number."""

    function: Activation


class Affine(_Stage, frozen=True, tag="affine"):
    """(x + PREFIX.shift) @ PREFIX.matrix, with matrix (in, out): what `fit_whitening` makes. Either may be left out."""

    weights: str


class Gate(_Stage, frozen=True, tag="gate"):
    """x * sigmoid(linear(x))."""

    weights: str


class Normalize(_Stage, frozen=True, tag="normalize"):
    """Unit length."""


class LatentAttention(_Stage, frozen=True, tag="latent_attention"):
    """Tokens attend to learned latents; a stage on token vectors."""

    weights: str
    heads: int = 8


Stage: TypeAlias = Linear | Mlp | LayerNorm | ActivationStage | Affine | Gate | Normalize | LatentAttention


class Weights:
    """Weights by ``FILE:PREFIX``; FILE is relative to ``base`` (the recipe's folder, then the model's), or the word
    ``checkpoint`` for the model's own."""

    def __init__(self, base: Sequence[Path], checkpoint: Path | None) -> None:
        self.base, self.checkpoint = list(base), checkpoint
        self._read: dict[str, dict[str, Tensor]] = {}

    def get(self, reference: str) -> dict[str, Tensor]:
        """The weights under the prefix, without it. Raises `ExportError` naming what is there."""
        file, _, prefix = reference.rpartition(":") if ":" in reference else (reference, "", "")
        state = self._state(file)
        start = f"{prefix}." if prefix else ""
        found = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
        if not found:
            there = ", ".join(sorted({key.rpartition(".")[0] or key for key in state})[:12])
            raise ExportError(f"weights {reference!r}: nothing under {prefix!r}; there are {there}")
        return found

    def _state(self, file: str) -> dict[str, Tensor]:
        if file not in self._read:
            paths = [self.checkpoint] if file == "checkpoint" else [folder / file for folder in self.base]
            path = next((path for path in paths if path is not None and path.exists()), None)
            if path is None:
                raise ExportError(f"weights {file!r}: there is no such file beside the recipe or the model")
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as data:
                    self._read[file] = {name: torch.from_numpy(np.asarray(data[name])) for name in data.files}
            else:
                self._read[file] = load_state(path)
        return self._read[file]


def stage(given: Any, weights: Weights, where: str) -> nn.Module:
    """The module of one stage. Raises `ExportError` naming the stage and what is wrong with it."""
    if isinstance(given, nn.Module):
        _refuse_batch_statistics(given, where)
        return given.eval()
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


def _refuse_batch_statistics(module: nn.Module, where: str) -> None:
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise ExportError(
                f"{where}: {type(part).__name__} {name!r} uses statistics of the batch, so a text's vector would depend on its "
                "neighbours; fit it offline and give it as a stage of kind 'affine'"
            )


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


def fit_whitening(vectors: npt.NDArray[np.float32], dim: int | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """``shift`` (d,) and ``matrix`` (d, dim) that give (x + shift) @ matrix zero mean and unit covariance over (n, d)
    ``vectors``, largest variances first (Su et al. 2021). Save them with ``numpy.savez`` for an ``affine`` stage."""
    wide = vectors.astype(np.float64)
    if wide.ndim != 2 or len(wide) < 2:
        raise InputError(f"vectors: expected (n, d) with at least two rows, found the shape {vectors.shape}")
    values, axes = np.linalg.eigh(np.cov(wide, rowvar=False))
    order = np.argsort(values)[::-1][: dim or len(values)]
    matrix = axes[:, order] / np.sqrt(np.maximum(values[order], 1e-12))
    return {"shift": -wide.mean(axis=0).astype(np.float32), "matrix": matrix.astype(np.float32)}
