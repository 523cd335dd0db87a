"""Rewrites of a captured graph that make it faster and leave its vectors the same to the last few bits.

Only forms that measured faster on CPU are made: the attention scale moves into the query weights, the token-type row
moves into the position table, biases that need no addition of their own are folded (see `biases`), and convolutions
become products (see `convolutions`). Bias and GELU
stay apart, because onnxruntime's one operator for both was slower. Attention itself stays MatMul, Add, Softmax,
MatMul, and residual and LayerNormalization stay apart: onnxruntime's fused operators for them were slower.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .biases import fold_biases
from .convolutions import expand
from .idioms import assemble
from .ir_tools import constant, initializer, named_outputs, producer, remove_unused, replace


def fuse(model: ir.Model) -> Counter[str]:
    """Rewrite ``model`` in place; how often each rewrite was made. Its outputs keep their names."""
    with named_outputs(model):
        return +_rewrite(model)


def _rewrite(model: ir.Model) -> Counter[str]:
    made = assemble(model)
    made["convolution"] = expand(model)
    graph = model.graph
    for node in list(graph):
        if node.op_type in ("Mul", "Div") and _fold_attention_scale(graph, node):
            made["attention scale"] += 1
    for node in list(graph):
        if node.op_type == "Gelu" and _widen_gelu_bias(graph, node):
            made["Gelu bias"] += 1
    for node in list(graph):
        if node.op_type == "Gather" and _fold_token_types(graph, node):
            made["token types"] += 1
    remove_unused(model)  # a node that nothing reads would count as a reader of its inputs
    made.update({name: count for name, count in fold_biases(graph).items() if count})
    remove_unused(model)
    return made


def _split_bias(node: ir.Node) -> tuple[ir.Value, npt.NDArray[Any], ir.Value] | None:
    """(other input, bias, its value) of an Add with a one-dimensional constant."""
    for i in (0, 1):
        bias = constant(node.inputs[i])
        if bias is not None and bias.ndim == 1:
            other, value = node.inputs[1 - i], node.inputs[i]
            assert other is not None
            assert value is not None
            return other, bias, value
    return None


def _fold_attention_scale(graph: ir.Graph, node: ir.Node) -> bool:
    """MatMul(q, k) * c  ->  MatMul(c q, k), with c in the weights and bias of the product that made q; also / c."""
    sides = (1,) if node.op_type == "Div" else (0, 1)
    index = next((i for i in sides if (found := constant(node.inputs[i])) is not None and found.size == 1), None)
    if index is None:
        return False
    scale = constant(node.inputs[index])
    assert scale is not None
    product = producer(node.inputs[1 - index], "MatMul")
    step = producer(product.inputs[0], "Transpose") if product else None
    step = producer(step.inputs[0], "Reshape") if step else None
    add = producer(step.inputs[0], "Add") if step else None
    parts = _split_bias(add) if add else None
    if product is None or add is None or parts is None:
        return False
    linear = producer(parts[0], "MatMul")
    weight = constant(linear.inputs[1]) if linear else None
    if linear is None or weight is None or weight.ndim != 2:
        return False
    factor = np.float32(scale.item() if node.op_type == "Mul" else 1 / scale.item())
    for owner, array, value in ((linear, weight, linear.inputs[1]), (add, parts[1], parts[2])):
        assert value is not None
        scaled = initializer(graph, f"{value.name}.scaled", (array * factor).astype(np.float32))
        owner.replace_input_with(list(owner.inputs).index(value), scaled)
    replace(node.outputs[0], product.outputs[0])
    return True


def _widen_gelu_bias(graph: ir.Graph, node: ir.Node) -> bool:
    """Gelu(x + b) with b (n,)  ->  Gelu(x + b) with b (1, 1, n), which onnxruntime leaves as it is.

    It makes one operator, BiasGelu, of the first form, and that took 1.25 times as long as Add and Gelu apart.
    """
    add = producer(node.inputs[0], "Add")
    parts = _split_bias(add) if add else None
    if add is None or parts is None or parts[0].shape is None or parts[0].shape.rank() != 3:
        return False
    index = list(add.inputs).index(parts[2])
    add.replace_input_with(index, initializer(graph, f"{parts[2].name}.wide", parts[1].reshape(1, 1, -1)))
    return True


def _uniform(value: ir.Value | None) -> int | None:
    """The one integer that fills ``value``, where that can be told."""
    array = constant(value)
    if array is not None:
        return int(array.flat[0]) if array.size and array.dtype.kind == "i" and (array == array.flat[0]).all() else None
    node = value.producer() if value is not None else None
    if node is not None and node.op_type in (
        "Expand",
        "Slice",
        "Reshape",
        "GatherElements",
        "Gather",
        "Unsqueeze",
        "Identity",
    ):
        return _uniform(node.inputs[0])
    return None


def _fold_token_types(graph: ir.Graph, node: ir.Node) -> bool:
    """(words + types[0]) + positions[p]  ->  words + (positions + types[0])[p]: one table and one addition less for
    every token."""
    table, row = constant(node.inputs[0]), _uniform(node.inputs[1])
    users = [use[0] for use in node.outputs[0].uses()]
    if table is None or row is None or table.ndim != 2 or len(users) != 1 or users[0].op_type != "Add":
        return False
    inner = users[0]
    words = next(v for v in inner.inputs if v is not node.outputs[0])
    outer_uses = [use[0] for use in inner.outputs[0].uses()]
    if len(outer_uses) != 1 or outer_uses[0].op_type != "Add":
        return False
    other = next(v for v in outer_uses[0].inputs if v is not inner.outputs[0])
    positions = producer(other, "Gather")
    places = constant(positions.inputs[0]) if positions else None
    if positions is None or places is None or words is None or places.shape[1:] != table.shape[1:]:
        return False
    value = positions.inputs[0]
    assert value is not None
    positions.replace_input_with(
        0, initializer(graph, f"{value.name}.with_type", (places + table[row]).astype(np.float32))
    )
    replace(inner.outputs[0], words)
    return True
