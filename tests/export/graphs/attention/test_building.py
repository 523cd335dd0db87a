"""Nodes and graphs that are made in a line."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from embedkit_export.graphs.attention.building import copied, inner, node, numbers


def test_a_graph_that_is_made_of_nodes_is_computed() -> None:
    x = ir.Value(name="x", shape=ir.Shape([4]), type=ir.TensorType(ir.DataType.INT64))
    graph = inner([], [x], [], "graph")
    graph.opset_imports[""] = 21
    made: list[ir.Node] = []
    two = numbers(graph, [2])
    assert numbers(graph, [2]) is two, "one initializer for the same numbers"
    part = node(made, "Slice", [x, numbers(graph, [1]), numbers(graph, [3]), numbers(graph, [0])], "part")
    twice = node(made, "Mul", [part, two], "twice")
    again = copied(made, made[-1], [twice, two], "again")
    again.type = x.type
    graph.extend(made)
    graph.outputs.append(again)
    session = ort.InferenceSession(ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString())
    assert session.run(None, {"x": np.arange(4)})[0].tolist() == [4, 8]
