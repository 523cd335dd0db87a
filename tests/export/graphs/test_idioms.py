"""Operators in pieces, put together: against the graph before."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

from embedkit_export import prepare
from embedkit_export.graphs import capture, fuse, idioms
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
    plan = prepare(models.make(family, layers=2)).plan.graphs["default"]
    before = capture.capture(plan)
    after = capture.own_copy(before)
    assert fuse.fuse(after) == made
    assert check_fused(after, plan.config) == []
    ids = np.random.default_rng(1).integers(5, 100, (3, 21))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    assert np.abs(run(after, ids, mask) - run(before, ids, mask)).max() < 1e-5


def test_heads_that_lie_beside_the_batch_are_joined() -> None:
    """(tokens, batch x heads, k) made to rows of all heads, as torch's own attention does it."""
    graph = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18]>
        heads (float[tokens, rows, 4] x) => (float[tokens, batch, 8] y)
        <int64[2] flat = {-1, 8}>
        { r = Reshape(x, flat) z = Gemm<transB = 1>(r, w, b) n = Shape<start = 0, end = 1>(x)
          e = Constant<value = int64[2] {-1, 8}>() s = Concat<axis = 0>(n, e) y = Reshape(z, s) }"""
    )
    rng = np.random.default_rng(0)
    for name, shape in (("w", (8, 8)), ("b", (8,))):
        graph.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    model = ir.from_proto(graph)
    for node in model.graph:  # as a capture knows them
        if node.op_type == "Reshape" and node.outputs[0].name == "y":
            node.outputs[0].shape = ir.Shape(["tokens", "batch", 8])
    assert idioms.assemble(model)["MatMul"] == 1
    after = ir.to_proto(model).SerializeToString()
    given = {"x": rng.normal(size=(5, 6, 4)).astype(np.float32)}
    expected, found = (
        onnxruntime.InferenceSession(one).run(None, given)[0] for one in (graph.SerializeToString(), after)
    )
    assert np.abs(expected - found).max() < 1e-5
