"""Attention of long texts by blocks of queries, so that no scores of all tokens with all tokens are ever in memory.

An attention is MatMul, Softmax, MatMul with scores of (batch, heads, tokens, tokens): at 8,192 tokens and 12 heads 3.2 GB
for one text. Above `LEAST` tokens a Loop computes it for `ROWS` queries at a time, with the same products: a row of a
product does not depend on how many rows there are, so the vectors are the same bytes, whichever way the length of a batch
chooses. Masks and biases of (tokens, tokens) are computed for the block, from the positions on, and nowhere else.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import sympy

from .ir_tools import constant, initializer, remove_unused

ROWS = 256
"""Queries of a block."""

LEAST = 512
"""Up to so many tokens an attention is left whole."""

_TILES = {
    *("Abs", "Add", "And", "Cast", "Clip", "Div", "Equal", "Exp", "Floor", "Greater", "GreaterOrEqual", "Identity", "Less"),
    *("LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Relu", "Sigmoid", "Sign", "Sqrt", "Sub"),
    *("Tanh", "Where", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseNot", "Ceil", "Round", "IsNaN"),
}  # fmt: skip
"""Operators of which each number of the output depends on the numbers at its place, broadcast."""


_SHAPE = -1
"""In the place of an axis: this input is the shape of the output, which for a block has `ROWS` rows."""


class _Whole(Exception):
    """This attention cannot be cut."""


def cut_attention(model: ir.Model) -> int:
    """Let each attention of ``model`` that can be cut compute long texts by blocks; how many can."""
    graph = model.graph
    attentions = [found for node in graph if (found := _attention(node)) is not None]
    cuts = [cut for context in attentions if (cut := _cut(graph, context)) is not None]
    shared = _shared(cuts)
    made: dict[ir.Value, ir.Value] = {}
    for cut in cuts:
        cut.apply(shared, made)
    if cuts:
        remove_unused(model)
    return len(cuts)


def _cut(graph: ir.Graph, context: ir.Node) -> _Cut | None:
    try:
        return _Cut(graph, context)
    except _Whole:
        return None


def _attention(softmax: ir.Node) -> ir.Node | None:
    """The product of an attention's probabilities with its values, where ``softmax`` makes the probabilities."""
    if softmax.op_type != "Softmax" or softmax.domain not in ("", "ai.onnx"):
        return None
    probabilities = softmax.outputs[0]
    axis = softmax.attributes.get("axis")
    rank = probabilities.shape.rank() if probabilities.shape is not None else 0
    if rank < 3 or (axis is not None and axis.as_int() not in (-1, rank - 1)) or not _quadratic(probabilities):
        return None
    readers = [use[0] for use in probabilities.uses()]
    while len(readers) == 1 and readers[0].op_type in ("Cast", "Reshape"):
        probabilities = readers[0].outputs[0]
        readers = [use[0] for use in probabilities.uses()]
    if len(readers) != 1 or readers[0].op_type != "MatMul" or readers[0].inputs[0] is not probabilities:
        return None
    return readers[0]


def _dims(value: ir.Value | None) -> list[Any]:
    if value is None or value.shape is None:
        raise _Whole
    return [dim if isinstance(dim, int) else _simple(dim.value) if dim.value else object() for dim in value.shape]


@functools.cache
def _simple(dim: str) -> str:
    """One spelling for sizes that are equal, such as of ``((tokens**2)//tokens)``."""
    names = [name for name in re.findall(r"[A-Za-z_]\w*", dim) if not hasattr(sympy, name)]
    try:
        return str(sympy.sympify(dim, locals={name: sympy.Symbol(name, integer=True, positive=True) for name in names}))
    except (sympy.SympifyError, TypeError, ValueError, SyntaxError):  # a function that sympy has not: as it stands
        return dim


def _quadratic(value: ir.Value) -> bool:
    """Whether two axes are as long as the text."""
    if value.shape is None:
        return False
    symbols = [dim for dim in _dims(value) if isinstance(dim, str)]
    return any(symbols.count(symbol) > 1 for symbol in symbols)


class _Cut:
    """One attention: what of the graph belongs to it, and how its queries are taken by blocks."""

    def __init__(self, graph: ir.Graph, context: ir.Node) -> None:
        self.graph, self.context = graph, context
        self.out = context.outputs[0]
        self.rank = len(_dims(self.out))
        self.axis = self.rank - 2
        self.width = _dims(self.out)[-1]
        if not isinstance(self.width, int):
            raise _Whole
        self.inside: dict[ir.Node, None] = {}
        """The nodes of which a block computes a part."""
        self.sliced: tuple[ir.Value, int] | None = None
        self.length = _dims(self.out)[self.axis]
        builder = _Block(self.length, self.inside)
        builder.part(self.out, self.axis)
        if builder.lengths is None:
            raise _Whole
        self.sliced = builder.lengths

    def apply(self, shared: set[ir.Node], made: dict[ir.Value, ir.Value]) -> None:
        """Put an If of both ways in the place of the attention."""
        assert self.sliced is not None
        name = str(self.out.name)
        begin: list[ir.Node] = []
        tokens = _node(begin, "Shape", [self.sliced[0]], f"{name}.tokens", start=self.sliced[1], end=self.sliced[1] + 1)
        long = _node(begin, "Greater", [tokens, _numbers(self.graph, [LEAST])], f"{name}.long")
        graph_of = {
            "then_branch": self._by_blocks(name, tokens),
            "else_branch": self._whole(name, shared, made, long, begin),
        }
        branch = ir.Node(
            "", "If", [long], [ir.AttrGraph(key, graph) for key, graph in graph_of.items()],
            outputs=[ir.Value(name=f"{name}.cut", shape=self.out.shape, type=self.out.type)],
        )  # fmt: skip
        self.graph.insert_before(self.context, [*begin, branch])
        self.out.replace_all_uses_with(branch.outputs[0], replace_graph_outputs=True)

    def _whole(
        self, name: str, shared: set[ir.Node], made: dict[ir.Value, ir.Value], long: ir.Value, begin: list[ir.Node]
    ) -> ir.Graph:
        """The attention as it was. What others read too (a mask, a bias) is made once for all, and only for short texts."""
        nodes: list[ir.Node] = []
        copies: dict[ir.Value, ir.Value] = {}
        for node in self.inside:
            if node in shared:
                continue
            inputs = [copies.get(value, value) if value is not None else None for value in node.inputs]
            for i, value in enumerate(inputs):
                if value is not None and value.producer() in shared:
                    if value not in made:
                        made[value] = self._once(value, long, begin)
                    inputs[i] = made[value]
            copies[node.outputs[0]] = _copied(nodes, node, inputs, f"{node.outputs[0].name}.{name}.whole")
        return _graph(nodes, [], [copies[self.out]], f"{name}.short")

    def _once(self, value: ir.Value, long: ir.Value, begin: list[ir.Node]) -> ir.Value:
        """``value`` for short texts, and one number for long ones, which do not read it."""
        order: list[ir.Node] = []

        def need(wanted: ir.Value) -> None:
            node = wanted.producer()
            if node is None or node not in self.inside or node in order:
                return
            for given in node.inputs:
                if given is not None:
                    need(given)
            order.append(node)

        need(value)
        nodes: list[ir.Node] = []
        copies: dict[ir.Value, ir.Value] = {}
        for node in order:
            inputs = [copies.get(given, given) if given is not None else None for given in node.inputs]
            copies[node.outputs[0]] = _copied(nodes, node, inputs, f"{node.outputs[0].name}.short")
        none: list[ir.Node] = []
        ones = _numbers(self.graph, [1] * len(_dims(value)))
        assert value.type is not None
        filled = ir.tensor(np.zeros(1, dtype=value.type.dtype.numpy()))
        empty = _node(none, "ConstantOfShape", [ones], f"{value.name}.none", value=filled)
        empty.type = value.type
        branch = ir.Node(
            "", "If", [long],
            [
                ir.AttrGraph("then_branch", _graph(none, [], [empty], f"{value.name}.long")),
                ir.AttrGraph("else_branch", _graph(nodes, [], [copies[value]], f"{value.name}.short")),
            ],
            outputs=[ir.Value(name=f"{value.name}.if_short", type=value.type)],
        )  # fmt: skip
        begin.append(branch)
        return branch.outputs[0]

    def _by_blocks(self, name: str, tokens: ir.Value) -> ir.Graph:
        """The attention for `ROWS` queries at a time; the last block ends with the text, and so overlaps the one before."""

        def numbers(*values: int) -> ir.Value:
            return _numbers(self.graph, values)

        nodes: list[ir.Node] = []
        last = _node(nodes, "Sub", [tokens, numbers(ROWS)], f"{name}.last")
        more = _node(nodes, "Add", [last, numbers(2 * ROWS - 1)], f"{name}.more")
        blocks = _node(nodes, "Div", [more, numbers(ROWS)], f"{name}.blocks")
        count = _node(nodes, "Squeeze", [blocks], f"{name}.count")
        step = ir.Value(name=f"{name}.step", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
        going = ir.Value(name=f"{name}.going", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.BOOL))
        inner: list[ir.Node] = []
        at = _node(inner, "Mul", [step, numbers(ROWS)], f"{name}.at")
        start = _node(inner, "Min", [at, last], f"{name}.start")
        end = _node(inner, "Add", [start, numbers(ROWS)], f"{name}.end")
        block = _Block(self.length, {}, inner, name, start, end, numbers)
        found = block.part(self.out, self.axis)
        on = _node(inner, "Identity", [going], f"{name}.on")
        on.type, found.type = going.type, self.out.type
        body = _graph(inner, [step, going], [on, found], f"{name}.block")
        always = initializer(self.graph, "blocks.always", np.array(True))
        loop = ir.Node(
            "", "Loop", [count, always], [ir.AttrGraph("body", body)], outputs=[ir.Value(name=f"{name}.stacked")]
        )
        nodes.append(loop)
        axis, rank = self.axis, self.rank
        order = [*range(1, axis + 1), 0, *range(axis + 1, rank + 1)]
        moved = _node(nodes, "Transpose", [loop.outputs[0]], f"{name}.moved", perm=order)
        flat = _node(nodes, "Reshape", [moved, numbers(*[0] * axis, -1, self.width)], f"{name}.flat")
        head = _node(nodes, "Slice", [flat, numbers(0), last, numbers(axis)], f"{name}.head")
        tail = _node(nodes, "Slice", [flat, numbers(-ROWS), numbers(2**62), numbers(axis)], f"{name}.tail")
        joined = _node(nodes, "Concat", [head, tail], f"{name}.joined", axis=axis)
        joined.type = self.out.type
        return _graph(nodes, [], [joined], f"{name}.blocks")


class _Block:
    """Makes the part of a value that a block of queries needs. Without ``nodes`` it only finds what is needed."""

    def __init__(
        self,
        length: Any,
        inside: dict[ir.Node, None],
        nodes: list[ir.Node] | None = None,
        name: str = "",
        start: ir.Value | None = None,
        end: ir.Value | None = None,
        numbers: Callable[..., ir.Value] | None = None,
    ) -> None:
        self.length, self.inside, self.nodes, self.name = length, inside, nodes, name
        self.start, self.end, self.numbers = start, end, numbers
        self.done: dict[tuple[ir.Value, int], ir.Value] = {}
        self.lengths: tuple[ir.Value, int] | None = None
        """A value and its axis that is as long as the text."""

    def part(self, value: ir.Value, axis: int) -> ir.Value:
        """The rows of the block along ``axis`` of ``value``; raises `_Whole` where that cannot be told."""
        if _dims(value)[axis] != self.length:
            raise _Whole
        key = value, axis
        if key not in self.done:
            node = value.producer()
            opened = not self.done or _quadratic(
                value
            )  # the output of the attention itself, and what is as large as scores
            recipe = self._inputs(node, value, axis) if node is not None and opened else None
            if node is None or recipe is None:
                self.done[key] = self._slice(value, axis)
            else:
                inputs = [self._given(one, where, axis) for one, where in recipe]
                self.inside[node] = None
                self.done[key] = self._copy(node, inputs, value)
        return self.done[key]

    def _inputs(self, node: ir.Node, value: ir.Value, axis: int) -> list[tuple[Any, int | None]] | None:
        """Each input of a node with the axis along which the block takes a part of it, None for the whole; None where the
        operator is not known, so that its output is cut."""
        rank, given = len(_dims(value)), list(node.inputs)
        if node.domain not in ("", "ai.onnx") or len(node.outputs) != 1:
            return None
        if node.op_type in _TILES:
            return [(one, self._aligned(one, rank, axis)) for one in given]
        if node.op_type == "Softmax" and node.attributes.get_int("axis", -1) % rank != axis:
            return [(given[0], axis)]
        if node.op_type == "Transpose":
            perm = node.attributes["perm"].as_ints()
            return [(given[0], perm[axis])]
        if node.op_type == "Unsqueeze":
            axes = constant(given[1])
            if axes is None:
                return None
            new = sorted(int(one) % rank for one in axes.reshape(-1))
            return None if axis in new else [(given[0], axis - sum(one < axis for one in new)), (given[1], None)]
        if node.op_type == "Squeeze":
            axes = constant(given[1]) if len(given) > 1 else None
            if axes is None:
                return None
            gone = {int(one) % (rank + axes.size) for one in axes.reshape(-1)}
            return [(given[0], [i for i in range(rank + axes.size) if i not in gone][axis]), (given[1], None)]
        if node.op_type in ("Reshape", "Expand"):
            # What comes after the axis is as it was, so the rows of a block are rows there too.
            dims, before = _dims(value), _dims(given[0])
            place = axis - rank + len(before)
            same = before[place:] == dims[axis:] if node.op_type == "Reshape" else before[place:][:1] == dims[axis:][:1]
            return [(given[0], place), (given[1], _SHAPE)] if place >= 0 and same else None
        if node.op_type == "MatMul":
            left, right = given
            if axis == rank - 2 and len(_dims(left)) > 1:
                return [(left, len(_dims(left)) - 2), (right, None)]
            if axis == rank - 1 and len(_dims(right)) > 1:
                return [(left, None), (right, len(_dims(right)) - 1)]
            return None
        if node.op_type == "Gather":
            at = node.attributes.get_int("axis", 0) % len(_dims(given[0]))
            width = len(_dims(given[1]))
            if at <= axis < at + width:
                return [(given[0], None), (given[1], axis - at)]
            return [(given[0], axis if axis < at else axis - width + 1), (given[1], None)]
        if node.op_type == "GatherElements":
            at = node.attributes.get_int("axis", 0) % rank
            return [(given[0], None if at == axis else axis), (given[1], axis)]
        return None

    def _given(self, value: ir.Value | None, where: int | None, axis: int) -> ir.Value | None:
        if value is None or where is None or (where == _SHAPE and self.nodes is None):
            return value
        if where != _SHAPE:
            return self.part(value, where)
        assert self.nodes is not None
        assert self.numbers is not None
        name = f"{value.name}.{self.name}.{len(self.done)}.shape"
        return _node(self.nodes, "ScatterElements", [value, self.numbers(axis), self.numbers(ROWS)], name)

    def _aligned(self, value: ir.Value | None, rank: int, axis: int) -> int | None:
        """The axis of an input that is broadcast to ``axis`` of an output of ``rank``; None where it has none."""
        if value is None:
            return None
        dims = _dims(value)
        place = axis - (rank - len(dims))
        return None if place < 0 or dims[place] == 1 else place

    def _slice(self, value: ir.Value, axis: int) -> ir.Value:
        if (constant(value) is None and value.producer() is not None) or value.is_graph_input():
            self.lengths = self.lengths or (value, axis)
        if self.nodes is None:
            return value
        assert self.numbers is not None
        return _node(
            self.nodes,
            "Slice",
            [value, self.start, self.end, self.numbers(axis)],
            f"{value.name}.{self.name}.{axis}.part",
        )

    def _copy(self, node: ir.Node, inputs: Sequence[ir.Value | None], value: ir.Value) -> ir.Value:
        if self.nodes is None:
            return value
        return _copied(self.nodes, node, inputs, f"{value.name}.{self.name}.{len(self.done)}.block")


def _shared(cuts: Sequence[_Cut]) -> set[ir.Node]:
    """The nodes that several attentions have, or that something else reads too."""
    own = {node for cut in cuts for node in cut.inside}
    owners: dict[ir.Node, int] = {}
    for cut in cuts:
        for node in cut.inside:
            owners[node] = owners.get(node, 0) + 1
    found = {node for node, count in owners.items() if count > 1}
    ends = {cut.context for cut in cuts}
    for node in own - ends:
        if node.outputs[0].is_graph_output() or any(use[0] not in own for use in node.outputs[0].uses()):
            found.add(node)
    return found - ends


def _copied(nodes: list[ir.Node], node: ir.Node, inputs: Sequence[ir.Value | None], name: str) -> ir.Value:
    out = ir.Value(name=name, type=node.outputs[0].type)
    attributes = list(node.attributes.values())
    nodes.append(ir.Node(node.domain, node.op_type, inputs, attributes, outputs=[out], name=f"{node.op_type}.{name}"))
    return out


def _node(nodes: list[ir.Node], kind: str, inputs: Sequence[ir.Value | None], name: str, **attributes: Any) -> ir.Value:
    out = ir.Value(name=name)
    given = [ir.convenience.convert_attribute(key, value) for key, value in attributes.items()]
    nodes.append(ir.Node("", kind, inputs, given, outputs=[out], name=f"{kind}.{name}"))
    return out


def _graph(nodes: Sequence[ir.Node], inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], name: str) -> ir.Graph:
    return ir.Graph(inputs, outputs, nodes=nodes, name=name)


def _numbers(graph: ir.Graph, values: Sequence[int]) -> ir.Value:
    """An int64 initializer of the graph, which its inner graphs read."""
    name = "blocks." + "_".join(map(str, values))
    return initializer(graph, name, np.array(values, dtype=np.int64))
