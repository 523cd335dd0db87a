"""Biases folded into others; the reference is onnxruntime on the graph before."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs.biases import fold_biases
from embedkit_export.graphs.ir_tools import initializer, remove_unused
from embedkit_export.quantization.calibration.sessions import open_session


def feed_forward(activation: str = "Relu") -> ir.Model:
    """x -> LayerNormalization -> n + (f(n V + a) W + b)."""
    rng = np.random.default_rng(0)
    x = ir.val("x", shape=ir.Shape(["batch", "tokens", 4]), type=ir.TensorType(ir.DataType.FLOAT))
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 21}, name="g")

    def weight(name: str, *size: int) -> ir.Value:
        return initializer(graph, name, rng.normal(size=size).astype(np.float32))

    def op(kind: str, *inputs: ir.Value) -> ir.Value:
        node = ir.node(kind, list(inputs))
        graph.append(node)
        node.outputs[0].name = f"{kind}{len(graph)}"
        node.outputs[0].type = x.type
        return node.outputs[0]

    norm = op("LayerNormalization", x, weight("scale", 4), weight("beta", 4))
    up = op(activation, op("Add", op("MatMul", norm, weight("V", 4, 6)), weight("a", 6)))
    out = op("Add", norm, op("Add", op("MatMul", up, weight("W", 6, 4)), weight("b", 4)))
    graph.outputs.append(out)
    return ir.Model(graph, ir_version=10)


def run(model: ir.Model) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    return np.asarray(open_session(model).run(None, {"x": x})[0])


def test_a_bias_before_the_residual_goes_to_the_normalisation() -> None:
    model = feed_forward()
    expected = run(model)
    assert fold_biases(model.graph) == {"attention bias": 0, "residual bias": 1}
    remove_unused(model)
    assert sum(node.op_type == "Add" for node in model.graph) == 2
    assert "b" not in model.graph.initializers
    np.testing.assert_allclose(run(model), expected, rtol=1e-4, atol=1e-5)
    assert fold_biases(model.graph) == {"attention bias": 0, "residual bias": 0}


def test_a_normalisation_that_others_read_keeps_its_bias() -> None:
    model = feed_forward()
    model.graph.outputs.append(model.graph[0].outputs[0])
    assert fold_biases(model.graph) == {"attention bias": 0, "residual bias": 0}
    assert fold_biases(feed_forward("Neg").graph)["residual bias"] == 0, "of an activation that is not known"
