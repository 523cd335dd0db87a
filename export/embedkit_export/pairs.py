"""A head that scores two vectors: from a recipe's words to a graph of its own, compared with torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from embedkit.errors import ExportError, InputError
from embedkit.runtime.engines.onnxruntime import OnnxRuntime

from . import assembly, files
from .capture import OPSET, own_copy
from .graph import DENSE
from .plan import Plan
from .source import quiet, reason

FILE = "pair.onnx"
Feature = Literal["left", "right", "product", "difference"]


class Pair(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a head for pairs reads of the vectors u and v, one after another, and the stages on that: ``left`` u, ``right`` v,
    ``product`` u * v, ``difference`` abs(u - v)."""

    stages: list[Any]
    features: list[Feature] = msgspec.field(default_factory=lambda: ["left", "right", "product", "difference"])


def checked(given: Any) -> Pair:
    """A `Pair` from a table or itself."""
    if isinstance(given, Pair):
        return given
    try:
        return msgspec.convert(given, Pair)
    except msgspec.ValidationError as error:
        raise InputError(f"pair: {error}; found {given!r:.120}") from None


class PairHead(nn.Module):
    """(n, dim) and (n, dim) vectors -> (n, outputs). Every row is computed twice, for a product with one row is summed in
    another order than one with several."""

    def __init__(self, features: Sequence[Feature], stages: nn.Module) -> None:
        super().__init__()
        self.features, self.stages = list(features), stages

    def read(self, left: Tensor, right: Tensor) -> Tensor:
        """(n, features * dim)."""
        made = {"left": left, "right": right, "product": left * right, "difference": (left - right).abs()}
        return torch.cat([made[name] for name in self.features], dim=-1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Score."""
        out: Tensor = self.stages(self.read(left, right)[:, None].expand(-1, 2, -1))
        return out[:, 0]


def head(plan: Plan) -> PairHead:
    """The head that the plan's recipe says, once it takes vectors of the model's size. Raises `ExportError`, and `InputError`
    where the model gives no dense vectors."""
    given = checked(plan.recipe.pair)
    dense = plan.graphs[plan.roles["default"].graph].outputs.get(DENSE)
    if plan.weights is None or dense is None:
        raise InputError("pair: expected a bundle with dense vectors, which the head reads")
    stages = (assembly.stage(item, plan.weights, f"pair: stage {i}") for i, item in enumerate(given.stages, 1))
    made = PairHead(given.features, nn.Sequential(*stages)).eval()
    try:
        with torch.no_grad():
            made(*torch.ones(2, 3, dense.dim))
    except Exception as error:
        size = len(given.features) * dense.dim
        raise ExportError(f"pair: the head does not take the {size} numbers that it reads: {reason(error)}") from error
    return made


def write(head: PairHead, vectors: np.ndarray, folder: Path, *, parity: float) -> None:
    """Write the graph of a head into ``folder``, once it agrees with torch on pairs of ``vectors`` (n, dim) and scores each
    pair the same alone. Raises `ExportError`."""
    with quiet(), torch.no_grad():
        example = torch.from_numpy(vectors[:3].copy())
        rows = torch.export.Dim("rows")
        try:
            program = torch.onnx.export(
                head,
                (example, example.flip(0)),
                dynamo=True,
                dynamic_shapes=({0: rows}, {0: rows}),
                input_names=["left", "right"],
                output_names=["score"],
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:
            raise ExportError(f"pair: the head cannot be captured as a graph: {reason(error)}") from error
        assert program is not None
        files.save(own_copy(program.model), folder, FILE)
        left, right = vectors, vectors[::-1].copy()
        expected = head.stages(head.read(torch.from_numpy(left), torch.from_numpy(right))).numpy()
    session = OnnxRuntime(folder / FILE)
    found = session.run({"left": left, "right": right}, ["score"])[0]
    difference = float(np.abs(found - expected).max())
    if not difference < parity * max(1.0, float(np.abs(expected).max())):
        raise ExportError(f"pair: the graph's scores differ from torch's by {difference:.2e}")
    for i in range(len(left)):
        alone = session.run({"left": left[i : i + 1], "right": right[i : i + 1]}, ["score"])[0]
        if alone.tobytes() != found[i : i + 1].tobytes():
            raise ExportError("pair: a pair's score depends on the pairs scored with it")
