"""Biases that need no addition of their own, in attention and feed-forward blocks that read a normalisation's output.

Each rewrite gives the same vectors in exact arithmetic:

* a key's bias adds the same number to all scores of one query, which Softmax does not see;
* the probabilities of one query add up to one, so a value's bias passes through attention unchanged and can be added
  with the bias of the next product;
* in a feed-forward block x + (f(x V + a) W + b) where x comes out of LayerNormalization, b can be added to that
  normalisation's own bias instead, if b V is taken off a.

The same could be done with the bias after attention, where x is read by queries, keys and values. It is not, because
what has to be added to x there widens its range, which nearly doubled the error of int8 on all-MiniLM-L6-v2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .ir_tools import constant, initializer, producer, replace

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class _Linear:
    """MatMul(source, weight), and the Add or BiasGelu of a one-dimensional constant that alone reads it."""

    product: ir.Node
    weight: Numbers
    add: ir.Node | None
    bias: Numbers | None


def fold_biases(graph: ir.Graph) -> dict[str, int]:
    """Fold what can be folded; how many biases of attention and how many before residual additions."""
    attention = residual = 0
    for node in list(graph):
        if node.op_type == "Softmax":
            attention += _attention(graph, node)
    for node in list(graph):
        if node.op_type == "LayerNormalization":
            residual += _feed_forward(graph, node)
    return {"attention bias": attention, "residual bias": residual}


def _attention(graph: ir.Graph, softmax: ir.Node) -> int:
    """Fold the biases of the keys and the values of one attention; how many."""
    scores = _scores(softmax)
    readers = _readers(softmax.outputs[0])
    if scores is None or len(readers) != 1 or readers[0].op_type != "MatMul" or not _last_axis(softmax):
        return 0
    context = readers[0]
    if context.inputs[0] is not softmax.outputs[0]:
        return 0
    keys, values = _heads(scores.inputs[1]), _heads(context.inputs[1])
    folded = 0
    if keys is not None and keys.add is not None:
        _drop(keys)
        folded += 1
    out = _after_heads(context)
    if values is None or out is None or out.bias is None or values.weight.shape[1] != out.weight.shape[0]:
        return folded
    if values.bias is not None:
        _set_bias(graph, out, out.bias + values.bias @ out.weight)
        _drop(values)
        folded += 1
    return folded


def _feed_forward(graph: ir.Graph, norm: ir.Node) -> bool:
    """Fold the bias of the product at the end of a feed-forward block that reads ``norm``."""
    up = [_linear(node) for node in _readers(norm.outputs[0]) if node.op_type == "MatMul"]
    if len(up) != 1 or up[0] is None or up[0].bias is None or up[0].add is None:
        return False
    value = up[0].add.outputs[0]
    for _ in range(3):  # an activation of one or two operators, then the product
        readers = _readers(value)
        if len(readers) != 1:
            return False
        out = _linear(readers[0]) if readers[0].op_type == "MatMul" else None
        if out is not None:
            return _move(graph, out, up[0])
        if readers[0].op_type not in ("Gelu", "Relu", "Erf", "FastGelu", "QuickGelu", "Tanh"):
            return False
        value = readers[0].outputs[0]
    return False


def _move(graph: ir.Graph, out: _Linear, up: _Linear) -> bool:
    """Give the bias of ``out`` to the normalisation whose output ``up`` and the residual addition read."""
    source = up.product.inputs[0]
    norm = source.producer() if source is not None else None
    if source is None or norm is None or out.add is None or out.add.op_type != "Add" or out.bias is None:
        return False
    beta = constant(norm.inputs[2]) if len(norm.inputs) > 2 else None
    after = _readers(out.add.outputs[0])
    if up.bias is None or beta is None or beta.shape != out.bias.shape or source.is_graph_output():
        return False
    if len(after) != 1 or after[0].op_type != "Add" or source not in after[0].inputs:
        return False
    if {id(node) for node in _readers(source)} != {id(after[0]), id(up.product)}:
        return False
    _set_bias(graph, up, up.bias - out.bias @ up.weight)
    norm.replace_input_with(2, _new(graph, norm.inputs[2], beta + out.bias))
    _drop(out)
    return True


def _scores(softmax: ir.Node) -> ir.Node | None:
    """The product of queries and keys before a Softmax with nothing but masks added to it and numbers multiplied."""
    value = softmax.inputs[0]
    for _ in range(6):
        product = producer(value, "MatMul")
        if product is not None:
            return product
        step = producer(value, "Add", "Mul", "Div")
        if step is None:
            return None
        if step.op_type == "Add":
            sides = [side for side in step.inputs if producer(side, "MatMul", "Add", "Mul", "Div") is not None]
            paths = [side for side in sides if _leads_to_product(side)]
            if len(paths) != 1:
                return None
            value = paths[0]
        else:
            number = constant(step.inputs[1])
            if number is None or number.size != 1:
                return None
            value = step.inputs[0]
    return None


def _leads_to_product(value: ir.Value | None) -> bool:
    for _ in range(6):
        step = producer(value, "MatMul", "Add", "Mul", "Div")
        if step is None:
            return False
        if step.op_type == "MatMul":
            return constant(step.inputs[1]) is None
        value = next((v for v in step.inputs if producer(v, "MatMul", "Add", "Mul", "Div") is not None), None)
    return False


def _heads(value: ir.Value | None) -> _Linear | None:
    """The product that made (batch, heads, tokens, size), by way of Reshape and Transpose."""
    step = producer(value, "Transpose")
    if step is None or step.attributes["perm"].as_ints()[1] != 2:
        return None
    step = producer(step.inputs[0], "Reshape")
    if step is None:
        return None
    source = step.inputs[0]
    add = producer(source, "Add")
    product = producer(source, "MatMul") or (
        next(filter(None, (producer(v, "MatMul") for v in add.inputs)), None) if add else None
    )
    return _linear(product) if product is not None else None


def _after_heads(context: ir.Node) -> _Linear | None:
    """The product that reads the joined heads."""
    node = context
    for kind in ("Transpose", "Reshape"):
        readers = _readers(node.outputs[0])
        if len(readers) != 1 or readers[0].op_type != kind or node.outputs[0].is_graph_output():
            return None
        node = readers[0]
        if kind == "Transpose" and list(node.attributes["perm"].as_ints()) != [0, 2, 1, 3]:
            return None
    readers = _readers(node.outputs[0])
    return _linear(readers[0]) if len(readers) == 1 and readers[0].op_type == "MatMul" else None


def _linear(product: ir.Node) -> _Linear | None:
    weight = constant(product.inputs[1])
    if weight is None or weight.ndim != 2 or product.inputs[0] is product.inputs[1]:
        return None
    readers = _readers(product.outputs[0])
    if len(readers) == 1 and readers[0].op_type in ("Add", "BiasGelu"):
        for value in readers[0].inputs:
            bias = constant(value)
            if bias is not None and bias.size == bias.shape[-1] == weight.shape[1]:
                return _Linear(product, weight, readers[0], bias.reshape(-1))
    return _Linear(product, weight, None, None)


def _set_bias(graph: ir.Graph, linear: _Linear, bias: Numbers) -> None:
    assert linear.add is not None
    index = next(i for i, value in enumerate(linear.add.inputs) if constant(value) is not None)
    old = linear.add.inputs[index]
    shape = constant(old).shape  # type: ignore[union-attr]
    linear.add.replace_input_with(index, _new(graph, old, bias.reshape(shape)))


def _drop(linear: _Linear) -> None:
    """Let the readers of the biased value read the product."""
    assert linear.add is not None
    assert linear.add.op_type == "Add"
    replace(linear.add.outputs[0], linear.product.outputs[0])


def _new(graph: ir.Graph, old: ir.Value | None, array: Numbers) -> ir.Value:
    name, n = str(old.name) if old is not None else "bias", 1
    while f"{name}.folded{n}" in graph.initializers:
        n += 1
    return initializer(graph, f"{name}.folded{n}", array.astype(np.float32))


def _readers(value: ir.Value) -> list[ir.Node]:
    return [use[0] for use in value.uses()]


def _last_axis(softmax: ir.Node) -> bool:
    axis = softmax.attributes.get("axis")
    return axis is None or axis.as_int() in (-1, 3)
