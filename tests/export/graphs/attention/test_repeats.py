"""Keys and values that several heads share are not repeated for each of them where a block reads a part of them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit_export.graphs.attention.blocks import LEAST, cut_attention
from embedkit_export.graphs.attention.building import node, numbers
from embedkit_export.graphs.attention.repeats import repeated
from embedkit_export.graphs.ir_tools import initializer, own_copy

FLOAT, INT = ir.TensorType(ir.DataType.FLOAT), ir.TensorType(ir.DataType.INT64)
SHARED, TIMES, WIDTH = 2, 3, 8


def shaped(value: ir.Value, shape: list[int | str], kind: ir.TensorType = FLOAT) -> ir.Value:
    value.shape, value.type = ir.Shape(shape), kind
    return value


def decoder() -> ir.Model:
    """A causal attention of six heads of queries and two of keys and values, repeated as transformers does."""
    heads = SHARED * TIMES
    given = {name: shaped(ir.Value(name=name), ["b", SHARED, "n", WIDTH]) for name in ("k", "v")}
    given["q"] = shaped(ir.Value(name="q"), ["b", heads, "n", WIDTH])
    nodes: list[ir.Node] = []
    graph = ir.Graph(list(given.values()), [], nodes=[], name="g", opset_imports={"": 21})

    def sizes(*others: int) -> ir.Value:
        batch, tokens = (
            shaped(node(nodes, "Shape", [given["q"]], f"size{at}.{len(nodes)}", start=at, end=at + 1), [1], INT)
            for at in (0, 2)
        )
        parts = [batch, *(numbers(graph, [one]) for one in others), tokens, numbers(graph, [WIDTH])]
        return shaped(node(nodes, "Concat", parts, f"sizes{len(nodes)}", axis=0), [len(parts)], INT)

    def each(name: str) -> ir.Value:
        once = shaped(
            node(nodes, "Unsqueeze", [given[name], numbers(graph, [2])], f"{name}.once"), ["b", SHARED, 1, "n", WIDTH]
        )
        many = shaped(
            node(nodes, "Expand", [once, sizes(SHARED, TIMES)], f"{name}.many"), ["b", SHARED, TIMES, "n", WIDTH]
        )
        return shaped(node(nodes, "Reshape", [many, sizes(heads)], f"{name}.each"), ["b", heads, "n", WIDTH])

    keys = shaped(node(nodes, "Transpose", [each("k")], "turned", perm=[0, 1, 3, 2]), ["b", heads, WIDTH, "n"])
    scores = shaped(node(nodes, "MatMul", [given["q"], keys], "scores"), ["b", heads, "n", "n"])
    tokens = shaped(
        node(
            nodes, "Squeeze", [shaped(node(nodes, "Shape", [given["q"]], "long", start=2, end=3), [1], INT)], "tokens"
        ),
        [],
        INT,
    )
    zero, one = (initializer(graph, f"number{at}", np.array(at)) for at in (0, 1))
    at = shaped(node(nodes, "Range", [zero, tokens, one], "at"), ["n"], INT)
    query = shaped(node(nodes, "Unsqueeze", [at, numbers(graph, [1])], "query"), ["n", 1], INT)
    key = shaped(node(nodes, "Unsqueeze", [at, numbers(graph, [0])], "key"), [1, "n"], INT)
    seen = shaped(node(nodes, "LessOrEqual", [key, query], "seen"), ["n", "n"], ir.TensorType(ir.DataType.BOOL))
    never = initializer(graph, "never", np.array(-np.inf, np.float32))
    masked = shaped(node(nodes, "Where", [seen, scores, never], "masked"), ["b", heads, "n", "n"])
    chances = shaped(node(nodes, "Softmax", [masked], "chances", axis=-1), ["b", heads, "n", "n"])
    out = shaped(node(nodes, "MatMul", [chances, each("v")], "out"), ["b", heads, "n", WIDTH])
    graph.extend(nodes)
    graph.outputs.append(out)
    return ir.Model(graph, ir_version=10)


def run(model: ir.Model, given: dict[str, np.ndarray]) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, given)[0])


@pytest.mark.parametrize("tokens", [1, LEAST, LEAST + 1, 1100])
def test_heads_share_keys_and_values_that_are_not_repeated(tokens: int) -> None:
    whole = decoder()
    cut = own_copy(whole)
    assert cut_attention(cut) == 1
    kinds = [one.op_type for one in cut.graph]
    assert "Expand" not in kinds, "of a long text nothing is repeated"
    assert [one.op_type for one in cut.graph.all_nodes()].count("Expand") == 2, "of a short one, both as before"
    random = np.random.default_rng(tokens)
    given = {
        name: random.standard_normal((2, heads, tokens, WIDTH), np.float32)
        for name, heads in (("q", SHARED * TIMES), ("k", SHARED), ("v", SHARED))
    }
    expected, found = run(whole, given), run(cut, given)
    assert expected.tobytes() == found.tobytes()
    k, v = (given[name].repeat(TIMES, axis=1) for name in "kv")
    scores = np.where(np.tri(tokens, dtype=bool), given["q"] @ k.transpose(0, 1, 3, 2), -np.inf)
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    np.testing.assert_allclose(found, chances / chances.sum(-1, keepdims=True) @ v, rtol=1e-4, atol=1e-5)


def test_what_is_repeated_is_told_by_its_shapes() -> None:
    model = decoder()
    named = {str(value.name): value for one in model.graph for value in one.outputs}
    keys = repeated(named["turned"], 1)
    assert keys is not None
    assert (keys.source.name, keys.axis, keys.times) == ("k.once", 1, TIMES)
    assert [one.op_type for one in keys.way] == ["Expand", "Reshape", "Transpose"]
    assert repeated(named["turned"], 2) is None, "another axis"
    assert repeated(named["scores"], 1) is None, "no repetition"
    assert repeated(model.graph.inputs[0], 1) is None
    named["v.many"].shape = ir.Shape(["b", SHARED, "times", "n", WIDTH])
    assert repeated(named["v.each"], 1) is None, "how often is not known"
    named["v.many"].shape = ir.Shape(["b", SHARED, TIMES, "n", WIDTH])
    named["v.once"].shape = ir.Shape(["b", SHARED, TIMES, "n", WIDTH])
    assert repeated(named["v.each"], 1) is None, "several already"
