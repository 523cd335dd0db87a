"""The part of a value that a block needs is the same part of the whole value."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit_export.graphs.attention.building import node, numbers
from embedkit_export.graphs.attention.parts import Parts, Span
from embedkit_export.graphs.attention.sizes import Whole

FLOAT = ir.TensorType(ir.DataType.FLOAT)
Sizes = list[int | str]


def attention() -> tuple[ir.Graph, ir.Node]:
    rows: Sizes = ["b", "n", 4]
    pairs: Sizes = ["b", "n", "n"]
    turned: Sizes = ["b", 4, "n"]
    q, k, v = (
        ir.Value(name=name, shape=ir.Shape(shape), type=FLOAT)
        for name, shape in (("q", rows), ("k", turned), ("v", rows))
    )
    nodes: list[ir.Node] = []
    scores = node(nodes, "MatMul", [q, k], "scores")
    chances = node(nodes, "Softmax", [scores], "chances", axis=-1)
    out = node(nodes, "MatMul", [chances, v], "out")
    for value, shape in ((scores, pairs), (chances, pairs), (out, rows)):
        value.shape, value.type = ir.Shape(shape), FLOAT
    graph = ir.Graph([q, k, v], [out], nodes=nodes, name="g", opset_imports={"": 21})
    return graph, nodes[-1]


def test_rows_and_keys_of_an_attention() -> None:
    graph, product = attention()
    made: list[ir.Node] = []
    rows, keys = (
        Span(*(numbers(graph, [number]) for number in (start, end, end - start))) for start, end in ((2, 5), (1, 7))
    )
    found = Parts(graph, "n", rows, keys, made, "part").context(product)
    graph.extend(made)
    graph.outputs[:] = [found]
    random = np.random.default_rng(0)
    q, k, v = (random.standard_normal(shape, np.float32) for shape in ((1, 9, 4), (1, 4, 9), (1, 9, 4)))
    session = ort.InferenceSession(ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString())
    scores = np.exp(q[:, 2:5] @ k[:, :, 1:7])
    expected = scores / scores.sum(-1, keepdims=True) @ v[:, 1:7]
    np.testing.assert_allclose(session.run(None, {"q": q, "k": k, "v": v})[0], expected, rtol=1e-5)


def test_what_is_needed_is_found_without_making_it() -> None:
    graph, product = attention()
    parts = Parts(graph, "n", Span(), Span(), None, "part")
    parts.context(product)
    assert [one.op_type for one in parts.inside] == ["MatMul", "Softmax", "MatMul"]
    assert parts.lengths is not None
    assert parts.lengths[1] in (1, 2)


def test_an_axis_of_another_length_is_not_cut() -> None:
    graph, product = attention()
    with pytest.raises(Whole):
        Parts(graph, "others", Span(), None, None, "part").context(product)
