"""From fp32 to fp16, for devices that multiply fp16 several times as fast: a GPU, not a CPU.

Only token vectors become fp16. What fp16 cannot hold stays fp32, with a Cast at each border:

* everything without a token axis: the pooling (a sum over tokens), the stages after it and the vector that comes out;
* everything made from ids and mask alone: positions, angles and the additive mask. Where a token vector meets it, it
  is first clipped to +-1e4: the lowest float32 would become -inf, and a row of -inf is NaN after Softmax;
* the attention scores from their product to their Softmax, which subtracts large numbers from each other. There is
  another reason: onnxruntime has no fp16 Softmax on CPU and puts a sum in its place whose last bits depend on padding;
* the residual sum of a pre-norm model, which no normalisation bounds before the last layer, and the normalisation
  that reads it;
* each operator that is not known to be safe: powers, means, roots and quotients, the pieces of a decomposed norm.

LayerNormalization takes fp16 in and gives fp16 out; its kernels sum in fp32 (``stash_type`` 1).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from embedkit.errors import ExportError
from embedkit_export.graphs.ir_tools import constant, initializer, remove_unused

LARGEST = 65504.0
"""The largest finite float16."""
MASKED = 1e4
"""What an infinite or lowest float32 becomes: exp(-1e4) is 0, and the sum of two such masks is still finite."""

_PRODUCTS = {"MatMul", "Gemm"}
_NORMS = {"LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"}
_SAFE = {
    *_NORMS,
    *("Add", "Sub", "Mul", "Neg", "Where"),
    *("Gelu", "BiasGelu", "FastGelu", "QuickGelu", "Relu", "Sigmoid", "Swish", "Tanh"),
    *("Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
}
_ELEMENTWISE = {"Add", "Sub", "Mul", "Div", "Where"}
_BLIND = {"Shape", "Size"}
"""Operators that read a value of any type and none of its numbers."""


def fp16(model: ir.Model) -> int:
    """Rewrite an fp32 ``model`` in place; the number of products that became fp16.

    Inputs keep their type and outputs stay float32. Every float value needs a type and every token vector a shape, as
    a captured graph has them; a value without a shape stays fp32. Raises `ExportError` for a value without a type.
    """
    graph = model.graph
    nodes = list(graph)
    untyped = [out.name for node in nodes for out in node.outputs if out.dtype is None]
    if untyped:
        raise ExportError(f"fp16: no type is known for {untyped[0]!r}; capture the model again, or export fp32 only")
    axis = _token_axis(graph)
    vectors = _vectors(nodes)
    scores = _scores(nodes)
    halves: set[ir.Value] = set()
    half_nodes: set[ir.Node] = set()
    for node in nodes:
        if node not in scores and _becomes_half(node, axis, vectors, halves):
            half_nodes.add(node)
            halves.update(out for out in node.outputs if out.dtype == ir.DataType.FLOAT)
    casts = _Casts(graph, vectors)
    for node in nodes:
        if node.op_type in _BLIND:
            continue
        for i, value in enumerate(node.inputs):
            if value is None or value.dtype != ir.DataType.FLOAT:
                continue
            if node in half_nodes and value not in halves:
                node.replace_input_with(i, casts.narrow(value))
            elif node not in half_nodes and value in halves:
                node.replace_input_with(i, casts.widen(value))
    for i, out in enumerate(graph.outputs):
        if out in halves:
            graph.outputs[i] = casts.output(out)
    for value in halves:
        value.type = ir.TensorType(ir.DataType.FLOAT16)
    remove_unused(model)
    return sum(node.op_type in _PRODUCTS for node in half_nodes)


def show_rounding(model: ir.Model) -> None:
    """Rewrite an fp16 ``model`` in place, so that it gives on CPU what a GPU gives: for its verification, not for use.

    On CPU onnxruntime computes in fp32 and leaves out the roundings between two operators, so an overflow would not be
    seen. Here two operators that move fp16 and compute nothing stand after each fp16 value: a single one would be
    turned into fp32 as well.
    """
    graph = model.graph
    for node in list(graph):
        for out in node.outputs:
            if out.dtype != ir.DataType.FLOAT16 or node.op_type == "Cast":
                continue
            readers, last = list(out.uses()), out
            for name in (f"{out.name}.half", f"{out.name}.rounded"):
                stop = ir.node("Concat", [last], {"axis": 0}, name=f"{name}/Concat")
                graph.insert_after(last.producer() or node, stop)
                last = stop.outputs[0]
                last.name, last.shape, last.type = name, out.shape, out.type
            for reader, i in readers:
                reader.replace_input_with(i, last)


def _token_axis(graph: ir.Graph) -> str:
    shape = graph.inputs[0].shape
    dim = shape[1] if shape is not None and shape.rank() == 2 else None
    if not isinstance(dim, ir.SymbolicDim) or dim.value is None:
        raise ExportError(f"fp16: expected ids of shape (batch, tokens) with named axes as first input, found {shape}")
    return dim.value


def _has_tokens(value: ir.Value, axis: str) -> bool:
    return value.shape is not None and any(axis in str(dim) for dim in value.shape if not isinstance(dim, int))


def _vectors(nodes: list[ir.Node]) -> set[ir.Value]:
    """The float values that come from a row of a table of weights; the others come from ids and mask alone."""
    found: set[ir.Value] = set()
    for node in nodes:
        table = constant(node.inputs[0]) if node.op_type == "Gather" else None
        if (table is not None and table.ndim == 2 and table.dtype == np.float32) or not found.isdisjoint(node.inputs):
            found.update(out for out in node.outputs if out.dtype == ir.DataType.FLOAT)
    return found


def _scores(nodes: list[ir.Node]) -> set[ir.Node]:
    """Each Softmax with the elementwise operators before it that serve it alone: scale and mask."""
    found = {node for node in nodes if node.op_type == "Softmax"}
    for node in reversed(nodes):
        readers = [use[0] for use in node.outputs[0].uses()]
        if node.op_type in _ELEMENTWISE and readers and found.issuperset(readers):
            found.add(node)
    return found


def _becomes_half(node: ir.Node, axis: str, vectors: set[ir.Value], halves: set[ir.Value]) -> bool:
    out = node.outputs[0]
    if out not in vectors or not all(_has_tokens(each, axis) for each in node.outputs):
        return False
    if node.op_type in _PRODUCTS:
        return True
    if node.op_type not in _SAFE or _accumulates(node, vectors):
        return False
    if node.op_type in _NORMS and len(node.outputs) > 1:  # the statistics are float32
        return False
    return all(value in halves for value in node.inputs if value in vectors)


def _accumulates(node: ir.Node, vectors: set[ir.Value]) -> bool:
    """Whether ``node`` adds two token vectors and another such sum reads what it makes: a residual that grows from
    layer to layer."""

    def adds(each: ir.Node) -> bool:
        return each.op_type == "Add" and all(value in vectors for value in each.inputs)

    return adds(node) and any(adds(use[0]) for use in node.outputs[0].uses())


class _Casts:
    """Each value in its other type, made once, right after the value itself."""

    def __init__(self, graph: ir.Graph, vectors: set[ir.Value]) -> None:
        self.graph = graph
        self.vectors = vectors
        self.made: dict[ir.Value, ir.Value] = {}

    def narrow(self, value: ir.Value) -> ir.Value:
        """``value`` as fp16; finite where it was finite, except a token vector that is too large."""
        found = self.made.get(value)
        if found is not None:
            return found
        array = constant(value)
        if array is not None:
            lowest = np.abs(array) > LARGEST
            narrow = np.where(lowest, np.copysign(np.float32(MASKED), array), array) if lowest.any() else array
            found = initializer(self.graph, f"{value.name}.fp16", narrow.astype(np.float16))
        else:
            source = value if value in self.vectors else self._clipped(value)
            found = self._cast(source, value, ir.DataType.FLOAT16)
        self.made[value] = found
        return found

    def widen(self, value: ir.Value) -> ir.Value:
        """``value`` as fp32."""
        found = self.made.get(value)
        if found is None:
            found = self.made[value] = self._cast(value, value, ir.DataType.FLOAT)
        return found

    def output(self, value: ir.Value) -> ir.Value:
        """``value`` as fp32 under its own name."""
        wide, name = self.widen(value), value.name
        value.name = f"{name}.fp16"
        wide.name = name
        return wide

    def _clipped(self, value: ir.Value) -> ir.Value:
        bounds = [initializer(self.graph, f"half/{c:g}", np.array(c, np.float32)) for c in (-MASKED, MASKED)]
        clip = ir.node("Clip", [value, *bounds], name=f"{value.name}/Clip")
        clip.outputs[0].name = f"{value.name}.clipped"
        clip.outputs[0].shape, clip.outputs[0].type = value.shape, value.type
        self._insert(value, clip)
        return clip.outputs[0]

    def _cast(self, source: ir.Value, named: ir.Value, to: ir.DataType) -> ir.Value:
        suffix = "fp16" if to == ir.DataType.FLOAT16 else "fp32"
        node = ir.node("Cast", [source], {"to": to}, name=f"{named.name}/Cast_{suffix}")
        out = node.outputs[0]
        out.name, out.shape, out.type = f"{named.name}.{suffix}", source.shape, ir.TensorType(to)
        self._insert(source, node)
        return out

    def _insert(self, after: ir.Value, node: ir.Node) -> None:
        producer = after.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(producer, node)
