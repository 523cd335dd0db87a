"""Stages from the words of a recipe, and stages that are refused; the reference is torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from embedkit.errors import ExportError, InputError
from embedkit_export.modules.builders import build_stage, check_independent
from embedkit_export.sources.weight_files import Weights


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    rng = np.random.default_rng(0)
    arrays = {"l.weight": (4, 4), "l.bias": (4,), "a.shift": (4,), "a.matrix": (4, 2)}
    np.savez(tmp_path / "w.npz", **{name: rng.normal(size=size).astype(np.float32) for name, size in arrays.items()})
    return Weights([tmp_path], None)


def test_stages_are_their_formulas(weights: Weights) -> None:
    x = torch.randn(2, 3, 4)
    layer, affine = weights.get("w.npz:l"), weights.get("w.npz:a")
    once = x @ layer["weight"].T + layer["bias"]
    for given, expected in (
        ({"kind": "linear", "weights": "w.npz:l", "activation": "tanh", "residual": True}, x + once.tanh()),
        ({"kind": "mlp", "weights": ["w.npz:l", "w.npz:l"], "activation": "relu"},
         once.relu() @ layer["weight"].T + layer["bias"]),
        ({"kind": "affine", "weights": "w.npz:a"}, (x + affine["shift"]) @ affine["matrix"]),
        ({"kind": "gate", "weights": "w.npz:l"}, x * once.sigmoid()),
        ({"kind": "normalize"}, x / x.norm(dim=-1, keepdim=True)),
    ):  # fmt: skip
        torch.testing.assert_close(build_stage(given, weights, "stage 1")(x), expected)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"kind": "zca"}, ExportError, "stage 1: 'zca' uses statistics of the batch"),
        ({"kind": "odd"}, InputError, "stage 1: .*odd"),
        ({"kind": "affine", "weights": "w.npz:l"}, ExportError, "hold no 'shift or matrix'"),
        ({"kind": "linear", "weights": "w.npz:a"}, ExportError, "hold no 'x.weight'"),
        (7, InputError, "found int"),
        (nn.BatchNorm1d(2, track_running_stats=False), ExportError, "BatchNorm1d '' uses statistics"),
    ],
)
def test_what_is_no_stage_is_refused(given: Any, error: Any, message: str, weights: Weights) -> None:
    with pytest.raises(error, match=message):
        build_stage(given, weights, "stage 1")


def test_rows_that_see_each_other_are_refused() -> None:
    assert check_independent(nn.Linear(4, 3), 4, "stage 1", "Linear") == 3
    with pytest.raises(ExportError, match="a row alone gives another result"):
        check_independent(lambda x: x - x.mean(dim=0), 4, "stage 1", "Centre")
    with pytest.raises(ExportError, match=r"cannot take \(batch, 2, 5\) vectors"):
        check_independent(nn.Linear(4, 3), 5, "stage 1", "Linear")
