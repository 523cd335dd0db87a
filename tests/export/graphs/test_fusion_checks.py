"""What is said of a graph that is not fused."""

from __future__ import annotations

import copy

import onnx_ir as ir
import pytest

from embedkit import ExportError
from embedkit_export.graphs import capture, fuse
from embedkit_export.graphs.fusion_checks import check_fused
from embedkit_export.plan.plan import GraphPlan


def test_an_unfused_graph_is_refused(captured: ir.Model, how: GraphPlan) -> None:
    broken = capture.own_copy(captured)
    gelu = next(node for node in broken.graph if node.op_type == "Gelu")
    erf = ir.node("Erf", [gelu.inputs[0]])
    broken.graph.insert_before(gelu, erf)
    fuse.replace(gelu.outputs[0], erf.outputs[0])
    broken.graph.remove(gelu, safe=True)
    with pytest.raises(
        ExportError, match=r"Gelu: expected 3 \(one a layer\), found 2; Erf: expected Gelu as one operator"
    ):
        check_fused(broken, how.config)
    unknown = copy.copy(how.config)
    unknown.model_type = "nobody-knows"
    assert len(check_fused(broken, unknown)) == 2, "said, not refused"


def test_the_gelu_of_clip_is_another_one(captured: ir.Model, how: GraphPlan) -> None:
    quick = copy.copy(how.config)
    quick.model_type, quick.hidden_act = "nobody-knows", "quick_gelu"
    graph = capture.own_copy(captured)
    assert check_fused(graph, quick) == [
        "the graph is not as fused as it could be: quick Gelu: expected 3 (one a layer), found 0"
    ]
    for node in [node for node in graph.graph if node.op_type == "Gelu"]:
        sigmoid = ir.node("Sigmoid", [node.inputs[0]])
        product = ir.node("Mul", [node.inputs[0], sigmoid.outputs[0]])
        graph.graph.insert_before(node, [sigmoid, product])
        fuse.replace(node.outputs[0], product.outputs[0])
        graph.graph.remove(node, safe=True)
    assert check_fused(graph, quick) == []
