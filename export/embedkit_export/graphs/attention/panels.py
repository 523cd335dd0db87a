"""Scores of wide heads, added up in the same order however many keys there are.

onnxruntime adds the products of a query and a key up in panels, of 128 numbers where there are more than 64 keys and of 256 or more where
there are fewer (the strides of its MLAS library follow the sizes of a product). So scores of heads that are wider than 128, as Gemma's are,
would have other last bits where a text's batch is padded beyond 64 tokens.
"""

from __future__ import annotations

import onnx_ir as ir

from embedkit_export.graphs.ir_tools import constant, named_outputs, replace

from .building import node, numbers
from .sizes import Whole, dims

WIDTH = 128
"""Numbers of a head whose products are one panel, whatever the number of keys."""


def sum_in_panels(model: ir.Model) -> int:
    """Rewrite in place each product of ``model`` over more than `WIDTH` numbers, whose outputs are as many as a batch has tokens, as a sum
    of products over `WIDTH`; how many there were."""
    with named_outputs(model):
        return sum(_summed(model.graph, product) for product in list(model.graph))


def _summed(graph: ir.Graph, product: ir.Node) -> bool:
    if product.op_type != "MatMul" or product.domain not in ("", "ai.onnx"):
        return False
    queries, keys = product.inputs
    try:
        left, right = dims(queries), dims(keys)
    except Whole:
        return False
    if queries is None or keys is None or constant(keys) is not None or len(left) < 2 or len(right) < 2:
        return False
    width, count = right[-2:]
    if isinstance(count, int) or not isinstance(width, int) or width <= WIDTH:
        return False
    out, nodes = product.outputs[0], list[ir.Node]()
    total: ir.Value | None = None
    for start in range(0, width, WIDTH):
        end = min(start + WIDTH, width)
        parts = []
        for value, axis in ((queries, len(left) - 1), (keys, len(right) - 2)):
            given = [value, *(numbers(graph, [at]) for at in (start, end, axis))]
            part = node(nodes, "Slice", given, f"{out.name}.{'queries' if value is queries else 'keys'}{start}")
            assert value.shape is not None
            part.shape = ir.Shape([end - start if at == axis else dim for at, dim in enumerate(value.shape)])
            part.type = value.type
            parts.append(part)
        found = _like(node(nodes, "MatMul", parts, f"{out.name}.panel{start}"), out)
        total = found if total is None else _like(node(nodes, "Add", [total, found], f"{out.name}.sum{start}"), out)
    assert total is not None
    graph.insert_before(product, nodes)
    replace(out, total)
    return True


def _like(value: ir.Value, other: ir.Value) -> ir.Value:
    value.shape, value.type = other.shape, other.type
    return value
