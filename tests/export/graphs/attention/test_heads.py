"""Heads that are computed one after another are those that are computed together, with and without a mask that masks nothing."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit_export.graphs.attention.blocks import LEAST, cut_attention
from embedkit_export.graphs.attention.building import node
from embedkit_export.graphs.ir_tools import own_copy

FLOAT = ir.TensorType(ir.DataType.FLOAT)
HEADS, WIDTH = 3, 4


def attention(*, mask: list[int | str] | None, mask_first: bool = False, bias: bool = False) -> ir.Model:
    """An attention of three heads; its mask has the shape of ``mask``, a bias is one of each head for each key."""
    rows, turned, pairs = ([("b"), HEADS, *last] for last in (("n", WIDTH), (WIDTH, "n"), ("n", "n")))
    shapes = {"q": rows, "k": turned, "v": rows}
    shapes |= {"bias": ["b", HEADS, 1, "n"]} if bias else {}
    shapes |= {} if mask is None else {"mask": mask}
    given = {name: ir.Value(name=name, shape=ir.Shape(shape), type=FLOAT) for name, shape in shapes.items()}
    nodes: list[ir.Node] = []
    scores = node(nodes, "MatMul", [given["q"], given["k"]], "scores")
    steps = [scores]
    if bias:
        steps.append(node(nodes, "Add", [scores, given["bias"]], "biased"))
    if mask is not None:
        pair = [given["mask"], steps[-1]]
        steps.append(node(nodes, "Add", pair if mask_first else pair[::-1], "masked"))
    steps.append(node(nodes, "Softmax", [steps[-1]], "chances", axis=-1))
    out = node(nodes, "MatMul", [steps[-1], given["v"]], "out")
    for value, shape in (*((step, pairs) for step in steps), (out, rows)):
        value.shape, value.type = ir.Shape(shape), FLOAT
    graph = ir.Graph(list(given.values()), [out], nodes=nodes, name="g", opset_imports={"": 21})
    return ir.Model(graph, ir_version=10)


def run(model: ir.Model, given: dict[str, np.ndarray]) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, given)[0])


@pytest.mark.parametrize("tokens", [7, LEAST, LEAST + 1, 700])
@pytest.mark.parametrize(
    ("mask", "mask_first", "bias"),
    [
        (None, False, False),
        (["b", 1, 1, "n"], False, False),
        (["b", 1, 1, "n"], True, True),
        (["n"], False, True),
        (["b", 1, "n", "n"], False, False),
        (["b", HEADS, 1, "n"], False, False),
    ],
)
def test_the_bytes_of_all_heads_together(
    mask: list[int | str] | None, mask_first: bool, bias: bool, tokens: int
) -> None:
    whole = attention(mask=mask, mask_first=mask_first, bias=bias)
    cut = own_copy(whole)
    assert cut_attention(cut) == 1
    assert any(one.op_type == "Scan" for one in cut.graph.all_nodes())
    random = np.random.default_rng(tokens)
    sizes = {"b": 2, "n": tokens}
    given = {
        str(one.name): random.standard_normal([sizes.get(str(dim), dim) for dim in one.shape or ()], np.float32)
        for one in whole.graph.inputs
    }
    if mask is not None:
        for filled in (0.0, -np.inf):  # of no padded text, of some
            given["mask"][:] = 0
            given["mask"][..., 5:] = filled
            assert run(whole, given).tobytes() == run(cut, given).tobytes()
        given["mask"][:] = random.standard_normal(given["mask"].shape)
    expected = run(whole, given)
    assert expected.tobytes() == run(cut, given).tobytes()
    scores = given["q"] @ given["k"] + given.get("bias", 0) + given.get("mask", 0)
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    np.testing.assert_allclose(expected, chances / chances.sum(-1, keepdims=True) @ given["v"], rtol=1e-4, atol=1e-5)


def test_a_mask_is_added_only_where_it_masks() -> None:
    cut = attention(mask=["b", 1, 1, "n"])
    assert cut_attention(cut) == 1
    ways = [one for one in cut.graph.all_nodes() if one.op_type == "If" and one.outputs[0].name != "out.cut"]
    assert len(ways) == 1
    kinds = {key: [one.op_type for one in graph.as_graph()] for key, graph in ways[0].attributes.items()}
    assert kinds == {"then_branch": ["Softmax"], "else_branch": ["Add", "Softmax"]}


def test_heads_whose_axis_is_not_known_are_taken_together() -> None:
    model = attention(mask=None)
    for value in (*model.graph.inputs, *(out for one in model.graph for out in one.outputs)):
        assert value.shape is not None
        value.shape = ir.Shape([dim if dim != HEADS else "h" for dim in value.shape.dims])
    whole = own_copy(model)
    assert cut_attention(model) == 1
    assert not any(one.op_type == "Scan" for one in model.graph.all_nodes())
    random = np.random.default_rng(0)
    q, k, v = (random.standard_normal(shape, np.float32) for shape in ((1, 2, 600, 4), (1, 2, 4, 600), (1, 2, 600, 4)))
    given = {"q": q, "k": k, "v": v}
    assert run(whole, given).tobytes() == run(model, given).tobytes()
