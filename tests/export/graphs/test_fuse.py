"""Fusion on graphs: against the graph before."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs import capture, fuse
from embedkit_export.graphs.fusion_checks import check_fused, counts
from embedkit_export.plan.plan import GraphPlan
from helpers.graphs import run


def test_fusing_changes_the_form_and_not_the_vectors(captured: ir.Model, how: GraphPlan) -> None:
    fused = capture.own_copy(captured)
    made = fuse.fuse(fused)
    assert made == {
        "attention bias": 6,
        "attention scale": 3,
        "Gelu bias": 3,
        "residual bias": 3,
        "token types": 1,
    }
    assert check_fused(fused, how.config) == []
    assert counts(fused) == {"MatMul": 25, "Softmax": 3, "LayerNormalization": 7, "Gelu": 3}
    rng = np.random.default_rng(0)
    for shape in ((1, 2), (1, 64), (5, 13)):
        ids = rng.integers(5, 100, shape)
        mask = (rng.random(shape) < 0.8).astype(np.int64)
        mask[:, 0] = 1
        assert np.abs(run(fused, ids, mask) - run(captured, ids, mask)).max() < 1e-5
