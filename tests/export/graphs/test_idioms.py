"""Operators in pieces, put together: against the graph before."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit_export import prepare
from embedkit_export.graphs import capture, fuse
from embedkit_export.graphs.fusion_checks import check_fused
from helpers import models, slow
from helpers.graphs import run


@pytest.mark.parametrize(
    ("family", "made"),
    slow.but(
        ("albert", "qwen3"),
        [
            (
                "albert",
                {"FastGelu": 2, "attention bias": 4, "attention scale": 2, "residual bias": 2, "token types": 1},
            ),
            ("deberta", {"LayerNormalization": 5, "Gelu bias": 2, "residual bias": 2}),
            ("t5", {"SimplifiedLayerNormalization": 5, "FastGelu": 2}),
            ("gpt2", {"MatMul": 8, "FastGelu": 2}),
            ("qwen3", {"SimplifiedLayerNormalization": 9, "QuickGelu": 2}),
        ],
    ),
)
def test_operators_in_pieces_are_put_together(family: str, made: dict[str, int]) -> None:
    plan = prepare(models.make(family)).plan.graphs["default"]
    before = capture.capture(plan)
    after = capture.own_copy(before)
    assert fuse.fuse(after) == made
    assert check_fused(after, plan.config) == []
    ids = np.random.default_rng(1).integers(5, 100, (3, 21))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    assert np.abs(run(after, ids, mask) - run(before, ids, mask)).max() < 1e-5
