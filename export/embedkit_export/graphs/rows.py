"""Token vectors as rows, from one product of rows to the next.

A row-wise product reads (batch * tokens, k). What stands between two of them (biases, activations, residual additions,
normalisations) does the same to every row, so that it can stay with rows too: nothing is reshaped around a product, and a vector has
the same bytes, since every number is computed by the same operator from the same numbers.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .ir_tools import constant, initializer, named_outputs, remove_unused, replace

_PAIRS = frozenset({"Add", "Sub", "Mul", "Div"})
_SINGLE = frozenset({"Gelu", "Relu", "Erf", "Tanh", "Sigmoid", "Neg", "FastGelu", "QuickGelu"})
_NORMS = frozenset({"LayerNormalization", "SimplifiedLayerNormalization"})


def as_rows(model: ir.Model) -> int:
    """Rewrite ``model`` in place; the number of operators that read rows now. What is not known to treat every row by itself stays as
    it is."""
    with named_outputs(model):
        rewrite = _Rows(model.graph)
        for node in list(model.graph):
            rewrite.visit(node)
        remove_unused(model)
    return rewrite.done


class _Rows:
    """What has been found to have rows: the value (batch, tokens, k), and the (batch * tokens, k) that are the same numbers."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph, self.done = graph, 0
        self.rows: dict[ir.Value, ir.Value] = {}
        self.shapes: dict[ir.Value, ir.Value] = {}
        self.wanted = {node.inputs[0] for node in graph if _flattens(node)}

    def visit(self, node: ir.Node) -> None:
        source = node.inputs[0] if node.inputs else None
        if node.op_type == "Reshape" and source is not None:
            self._reshape(node, source)
        elif self._same_for_rows(node):
            self._row_wise(node)
        for value in node.outputs:
            if value in self.wanted and value not in self.rows:
                self._flatten(node, value)

    def _reshape(self, node: ir.Node, source: ir.Value) -> None:
        out = node.outputs[0]
        if _flattens(node):
            if source in self.rows:
                replace(out, self.rows[source])
            else:
                self.rows[source] = out
        elif _unflattens(node):
            self.rows[out] = source
        elif source in self.rows and _names_all(node):
            node.replace_input_with(0, self.rows[source])

    def _flatten(self, node: ir.Node, value: ir.Value) -> None:
        """Rows of what no row-wise operator makes; of a Reshape, in its place."""
        width = _width(value)
        shape = initializer(self.graph, f"rows_by_{width}", np.array([-1, width], np.int64))
        source = node.inputs[0] if node.op_type == "Reshape" else value
        flat = ir.node("Reshape", [source, shape], name=f"{value.name}/rows/Reshape")
        self._name(flat, value)
        self.graph.insert_after(node, flat)
        self.rows[value] = flat.outputs[0]

    def _same_for_rows(self, node: ir.Node) -> bool:
        """Whether the node does to every row what it would do to it alone, and its rows are there."""
        out = node.outputs[0]
        first = node.inputs[0] if node.inputs else None
        if out.shape is None or out.shape.rank() < 3 or len(node.outputs) != 1 or first is None:
            return False
        if node.op_type in _NORMS:
            axis = node.attributes.get("axis")
            return first in self.rows and (axis is None or axis.as_int() in (-1, out.shape.rank() - 1))
        if node.op_type in _SINGLE:
            return first in self.rows
        if node.op_type not in _PAIRS:
            return False
        held = [value for value in node.inputs if value in self.rows]
        others = [value for value in node.inputs if value not in self.rows]
        return bool(held) and all(map(_is_for_all, others)) and all(_alike(value, out) for value in held if value)

    def _row_wise(self, node: ir.Node) -> None:
        out = node.outputs[0]
        inputs = [self._input(value, node) for value in node.inputs]
        name = f"{out.name}/rows/{node.op_type}"
        made = ir.Node(node.domain, node.op_type, inputs, list(node.attributes.values()), name=name)
        self._name(made, out)
        lead = self._lead(node)
        back = ir.node("Reshape", [made.outputs[0], lead], name=f"{out.name}/Reshape")
        back.outputs[0].name = f"{out.name}.whole"
        back.outputs[0].shape, back.outputs[0].type = out.shape, out.type
        self.graph.insert_before(node, [made, back])
        replace(out, back.outputs[0])
        self.rows[back.outputs[0]] = made.outputs[0]
        self.done += 1

    def _input(self, value: ir.Value | None, node: ir.Node) -> ir.Value | None:
        """Rows in the place of a value that has them; a constant for all rows without the dimensions that rows have not."""
        if value is None or value in self.rows:
            return None if value is None else self.rows[value]
        array = constant(value)
        if array is None or array.ndim < 3 or node.op_type not in _PAIRS:
            return value
        return initializer(self.graph, f"{value.name}.row", array.reshape(1, -1))

    def _lead(self, node: ir.Node) -> ir.Value:
        """The shape of what the node makes, which is that of a value it reads."""
        value = next(value for value in node.inputs if value in self.rows and value is not None)
        if value not in self.shapes:
            made = value.producer()
            if made is not None and made.op_type == "Reshape" and _names_all(made) and made.inputs[1] is not None:
                self.shapes[value] = made.inputs[1]
            else:
                shape = ir.node("Shape", [value], name=f"{value.name}/whole/Shape")
                shape.outputs[0].name = f"{value.name}.shape"
                self.graph.insert_before(node, shape)
                self.shapes[value] = shape.outputs[0]
        return self.shapes[value]

    @staticmethod
    def _name(node: ir.Node, whole: ir.Value) -> None:
        node.outputs[0].name, node.outputs[0].type = f"{whole.name}.rows", whole.type
        node.outputs[0].shape = ir.Shape([None, _width(whole)])


def _width(value: ir.Value) -> int:
    assert value.shape is not None
    return int(value.shape[-1])  # type: ignore[arg-type]


def _flattens(node: ir.Node) -> bool:
    """Reshape (batch, tokens, k) -> (batch * tokens, k)."""
    if node.op_type != "Reshape" or node.inputs[0] is None:
        return False
    shape, wanted = node.inputs[0].shape, constant(node.inputs[1])
    if shape is None or wanted is None or shape.rank() < 3 or not isinstance(shape[-1], int):
        return False
    return wanted.tolist() == [-1, shape[-1]] and not node.outputs[0].is_graph_output()


def _unflattens(node: ir.Node) -> bool:
    """Reshape (batch * tokens, k) -> (batch, tokens, k)."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    out = node.outputs[0].shape
    if shape is None or out is None or shape.rank() != 2 or out.rank() < 3:
        return False
    return isinstance(out[-1], int) and shape[-1] == out[-1]


def _names_all(node: ir.Node) -> bool:
    """Whether a Reshape takes no dimension from what it reads."""
    zero = node.attributes.get("allowzero")
    if zero is not None and zero.as_int() == 1:
        return True
    known = constant(node.inputs[1])
    if known is not None:
        return bool((known != 0).all())
    made = node.inputs[1].producer() if node.inputs[1] is not None else None
    if made is None or made.op_type != "Concat":
        return False
    parts = [constant(part) for part in made.inputs]
    return all(part is None or bool((part != 0).all()) for part in parts) and all(
        part is not None or (value is not None and (maker := value.producer()) is not None and maker.op_type == "Shape")
        for part, value in zip(parts, made.inputs, strict=True)
    )


def _is_for_all(value: ir.Value | None) -> bool:
    """Whether a constant is the same for every row."""
    array = constant(value)
    return array is not None and all(size == 1 for size in array.shape[:-1])


def _alike(value: ir.Value, out: ir.Value) -> bool:
    """Whether two values have the same shape, by numbers and names."""
    if value.shape is None or out.shape is None:
        return False
    dims = [[dim if isinstance(dim, int) else dim.value for dim in shape] for shape in (value.shape, out.shape)]
    return dims[0] == dims[1] and None not in dims[0]
