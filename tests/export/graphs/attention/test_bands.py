"""What a query sees, beside the mask itself computed for all pairs of positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit_export.graphs.attention.bands import seen

FLOAT, BOOL = ir.DataType.FLOAT, ir.DataType.BOOL
LOWEST = float(np.finfo(np.float32).min)
TOKENS = 60


class Mask:
    """Builds the graph of scores: a product, and a mask of positions."""

    def __init__(self) -> None:
        self.nodes: list[ir.Node] = []
        self.size = ir.Value(name="size", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
        self.given = ir.Value(name="attention_mask", shape=ir.Shape(["b", "n"]), type=ir.TensorType(ir.DataType.INT64))
        self.other = ir.Value(name="other", shape=ir.Shape(["b", 1, 1, "n"]), type=ir.TensorType(FLOAT))
        self.x = ir.Value(name="x", shape=ir.Shape(["b", 2, "n", 8]), type=ir.TensorType(FLOAT))
        self.y = ir.Value(name="y", shape=ir.Shape(["b", 2, 8, "n"]), type=ir.TensorType(FLOAT))
        self.graph = ir.Graph(
            [self.size, self.given, self.other, self.x, self.y], [], nodes=[], name="g", opset_imports={"": 21}
        )
        at = self.op("Range", [self.number(0), self.size, self.number(1)], ["n"], ir.DataType.INT64)
        self.queries = self.op("Unsqueeze", [at, self.number(1, flat=True)], ["n", 1], ir.DataType.INT64)
        self.keys = self.op("Unsqueeze", [at, self.number(0, flat=True)], [1, "n"], ir.DataType.INT64)
        self.product = self.op("MatMul", [self.x, self.y], ["b", 2, "n", "n"], FLOAT)

    def number(self, value: float, *, flat: bool = False) -> ir.Value:
        kind = np.float32 if isinstance(value, float) else np.int64
        tensor = ir.tensor(np.array([value] if flat else value, dtype=kind))
        made = ir.Value(
            name=f"c{len(self.graph.initializers)}",
            shape=ir.Shape(list(tensor.numpy().shape)),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.register_initializer(made)
        return made

    def op(
        self, kind: str, inputs: list[ir.Value], shape: list[Any], dtype: ir.DataType, **attributes: Any
    ) -> ir.Value:
        out = ir.Value(name=f"v{len(self.nodes)}", shape=ir.Shape(shape), type=ir.TensorType(dtype))
        given = [ir.convenience.convert_attribute(key, value) for key, value in attributes.items()]
        self.nodes.append(ir.Node("", kind, inputs, given, outputs=[out]))
        return out

    def pairs(self, kind: str, left: ir.Value, right: ir.Value, dtype: ir.DataType = BOOL) -> ir.Value:
        return self.op(kind, [left, right], ["n", "n"], dtype)

    def distance(self) -> ir.Value:
        return self.op(
            "Abs", [self.pairs("Sub", self.queries, self.keys, ir.DataType.INT64)], ["n", "n"], ir.DataType.INT64
        )

    def added(self, see: ir.Value, lowest: float = LOWEST) -> ir.Value:
        """The scores with ``lowest`` where not ``see``."""
        ones = self.op("Cast", [see], ["n", "n"], FLOAT, to=FLOAT.value)
        hidden = self.op("Sub", [self.number(1.0), ones], ["n", "n"], FLOAT)
        mask = self.op("Mul", [hidden, self.number(lowest)], ["n", "n"], FLOAT)
        return self.op("Add", [self.product, mask], ["b", 2, "n", "n"], FLOAT)

    def chosen(self, see: ir.Value) -> ir.Value:
        return self.op("Where", [see, self.product, self.number(LOWEST)], ["b", 2, "n", "n"], FLOAT)

    def visible(self, scores: ir.Value) -> np.ndarray:
        """(TOKENS, TOKENS) what onnxruntime makes of the mask."""
        self.graph.extend(self.nodes)
        self.graph.outputs.append(scores)
        model = ir.Model(self.graph, ir_version=10)
        session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
        feed = {
            "size": np.array(TOKENS), "attention_mask": np.ones((1, TOKENS), np.int64), "other": np.zeros((1, 1, 1, TOKENS), np.float32),
            "x": np.zeros((1, 2, TOKENS, 8), np.float32), "y": np.zeros((1, 2, 8, TOKENS), np.float32),
        }  # fmt: skip
        found: np.ndarray = np.asarray(session.run(None, feed)[0])[0, 0] > -1000
        return found


def window(m: Mask) -> ir.Value:
    return m.chosen(m.pairs("LessOrEqual", m.distance(), m.number(5)))


def odd(m: Mask) -> ir.Value:
    return m.added(m.pairs("Less", m.distance(), m.number(5)), -1e4)


def causal(m: Mask) -> ir.Value:
    return m.added(m.pairs("LessOrEqual", m.keys, m.queries))


def sliding(m: Mask) -> ir.Value:
    least = m.op("Sub", [m.queries, m.number(9)], ["n", 1], ir.DataType.INT64)
    both = m.pairs("And", m.pairs("Greater", m.keys, least), m.pairs("GreaterOrEqual", m.queries, m.keys))
    return m.chosen(both)


def hidden_window(m: Mask) -> ir.Value:  # what is near is masked
    return m.chosen(m.op("Not", [m.pairs("LessOrEqual", m.distance(), m.number(5))], ["n", "n"], BOOL))


def other_way(m: Mask) -> ir.Value:
    turned = m.op("Transpose", [m.pairs("LessOrEqual", m.keys, m.queries)], ["n", "n"], BOOL, perm=[1, 0])
    return m.chosen(turned)


def soft(m: Mask) -> ir.Value:
    return m.added(m.pairs("LessOrEqual", m.distance(), m.number(5)), -30.0)


def with_first(m: Mask) -> ir.Value:  # a window beside which all see the first token
    first = m.op("Equal", [m.keys, m.number(0)], [1, "n"], BOOL)
    return m.chosen(m.pairs("Or", m.pairs("LessOrEqual", m.distance(), m.number(5)), first))


def chunks(m: Mask) -> ir.Value:  # llama 4's: what stands in the same chunk
    query = m.op("Div", [m.queries, m.number(8)], ["n", 1], ir.DataType.INT64)
    key = m.op("Div", [m.keys, m.number(8)], [1, "n"], ir.DataType.INT64)
    return m.chosen(m.pairs("Equal", query, key))


def unknown(m: Mask) -> ir.Value:  # something else is added, which may be anything
    return m.op("Add", [window(m), m.other], ["b", 2, "n", "n"], FLOAT)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (window, (5, 5)),
        (odd, (4, 4)),
        (causal, (None, 0)),
        (other_way, (0, None)),
        (sliding, (8, 0)),
        (hidden_window, (None, None)),
        (soft, (None, None)),
        (with_first, (None, 5)),
        (chunks, (None, None)),
        (unknown, (None, None)),
    ],
)
def test_as_far_as_the_mask_lets_it(
    scores: Callable[[Mask], ir.Value], expected: tuple[int | None, int | None]
) -> None:
    mask = Mask()
    made = scores(mask)
    before, behind = seen(made)
    assert (before, behind) == expected
    query, key = np.nonzero(mask.visible(made))
    assert before is None or (query - key).max() == before
    assert behind is None or (key - query).max() == behind
