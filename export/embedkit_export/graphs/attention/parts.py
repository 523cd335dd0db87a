"""The part of a value that a block of queries needs, made of parts of what the value is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from embedkit_export.graphs.ir_tools import constant

from .building import copied, node, numbers
from .heads import Heads
from .repeats import repeated
from .sizes import Whole, dims, quadratic

TILES = {
    *("Abs", "Add", "And", "Cast", "Clip", "Div", "Equal", "Exp", "Floor", "Greater", "GreaterOrEqual", "Identity", "Less"),
    *("LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Relu", "Sigmoid", "Sign", "Sqrt", "Sub"),
    *("Tanh", "Where", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseNot", "Ceil", "Round", "IsNaN"),
}  # fmt: skip
"""Operators of which each number of the output depends on the numbers at its place, broadcast."""

_SHAPE = -1
"""In the place of an axis: this input is the shape of the output, of which a block has less."""


@dataclass(frozen=True, eq=False)
class Span:
    """From where to where a block goes along an axis: (1,) int64 values of the graph, None while it is only asked what a
    block needs."""

    start: ir.Value | None = None
    end: ir.Value | None = None
    size: ir.Value | None = None


HEAD = Span()
"""One head, of those that are taken one after another."""

Spans = Mapping[int, Span]
"""By axis, what a block has of it."""

Recipe = list[tuple[ir.Value | None, int | None]]
"""Each input of a node with the axis along which a part of it is taken, None for the whole."""


class Parts:
    """Makes the parts of one block in ``nodes``. Without ``nodes`` it only finds what is needed."""

    def __init__(
        self,
        graph: ir.Graph,
        length: Any,
        rows: Span,
        keys: Span | None,
        nodes: list[ir.Node] | None,
        name: str,
        heads: Heads | None = None,
    ) -> None:
        """``length`` is the size of the axes that are cut; ``keys`` those of the keys that the queries ``rows`` see, None for
        all; ``heads`` takes those of the attention one after another, None where they are computed together."""
        self.graph, self.length, self.rows, self.keys, self.nodes, self.name = graph, length, rows, keys, nodes, name
        self.heads = heads
        self.inside: dict[ir.Node, None] = {}
        """The nodes of which a block computes a part."""
        self.lengths: tuple[ir.Value, int] | None = None
        """A value and its axis that is as long as the text."""
        self.done: dict[tuple[ir.Value, tuple[tuple[int, Span], ...]], ir.Value] = {}

    def context(self, product: ir.Node) -> ir.Value:
        """The rows of the product of an attention's probabilities with its values; raises `Whole` where that cannot be
        told."""
        chances, values = product.inputs
        seen: Spans = {} if self.keys is None else {len(dims(chances)) - 1: self.keys}
        taken: Spans = {} if self.keys is None else {len(dims(values)) - 2: self.keys}
        one: Spans = {} if self.heads is None else {self.heads.axis: HEAD}
        if one and len(dims(chances)) != len(dims(values)):
            raise Whole
        inputs = [
            self.part(chances, {**one, len(dims(chances)) - 2: self.rows, **seen}),
            self.part(values, {**one, **taken}) if one or taken else values,
        ]
        self.inside[product] = None
        return self._copy(product, inputs, product.outputs[0], one)

    def part(self, value: ir.Value | None, spans: Spans) -> ir.Value:
        """What the block has of ``value`` along the axes of ``spans``; raises `Whole` where that cannot be told."""
        if value is None or any(dims(value)[axis] != self._size(span) for axis, span in spans.items()):
            raise Whole
        place = value, tuple(sorted(spans.items(), key=lambda item: item[0]))
        if place not in self.done:
            self.done[place] = self._made(value, spans)
        return self.done[place]

    def _size(self, span: Span) -> Any:
        return self.heads.count if span is HEAD and self.heads is not None else self.length

    def _made(self, value: ir.Value, spans: Spans) -> ir.Value:
        maker = value.producer()
        if maker is None or not quadratic(value):
            return self._slice(value, spans)
        recipes = {axis: _recipe(maker, value, axis, over=span is self.keys) for axis, span in spans.items()}
        if any(recipe is None for recipe in recipes.values()):
            if HEAD in spans.values():  # all heads' scores would be made for each of them
                raise Whole
            return self._slice(value, spans)
        if HEAD in spans.values() and self.nodes is not None and (found := self._masked(maker, spans)) is not None:
            return found
        inputs = []
        for i, given in enumerate(maker.inputs):
            needed: dict[int, Span] = {}
            shaped: dict[int, Span] = {}
            for axis, recipe in recipes.items():
                assert recipe is not None
                at = recipe[i][1]
                if at == _SHAPE:
                    shaped[axis] = spans[axis]
                elif at is not None:
                    if at in needed:
                        raise Whole
                    needed[at] = spans[axis]
            inputs.append(self.part(given, needed) if needed else self._shape(given, shaped) if shaped else given)
        self.inside[maker] = None
        return self._copy(maker, inputs, value, spans)

    def _masked(self, softmax: ir.Node, spans: Spans) -> ir.Value | None:
        """One head's Softmax of scores to which a mask is added that is the same for all queries and heads; None for any other node."""
        total = softmax.inputs[0] if softmax.op_type == "Softmax" else None
        add = total.producer() if total is not None else None
        if add is None or add.op_type != "Add" or len(add.outputs[0].uses()) != 1:
            return None
        rank = len(dims(total))
        for place, mask in enumerate(add.inputs):
            scores = add.inputs[1 - place]
            if mask is None or scores is None or constant(mask) is not None or dims(scores) != dims(total):
                continue
            at = {_aligned(mask, rank, axis): span for axis, span in spans.items()}
            own = {axis: span for axis, span in at.items() if axis is not None}
            if all(span is self.keys for span in own.values()):
                parts = self.part(mask, own) if own else mask, self.part(scores, spans)
                inputs = parts if place == 0 else parts[::-1]
                assert self.heads is not None
                return self.heads.chances(softmax, add, inputs, mask, self._named(softmax.outputs[0], "block"))
        return None

    def _shape(self, value: ir.Value | None, spans: Spans) -> ir.Value | None:
        nodes = self._nodes(spans)
        for axis, span in spans.items():
            if nodes is not None and value is not None:
                size = numbers(self.graph, [1]) if span is HEAD else span.size
                name = self._named(value, "shape")
                value = node(nodes, "ScatterElements", [value, numbers(self.graph, [axis]), size], name)
        return value

    def _slice(self, value: ir.Value, spans: Spans) -> ir.Value:
        if self.keys is not None and set(spans.values()) == {HEAD, self.keys}:
            return self._keys(
                value, *(next(axis for axis, span in spans.items() if span is one) for one in (HEAD, self.keys))
            )
        along = {axis: span for axis, span in spans.items() if span is not HEAD}
        if along and ((constant(value) is None and value.producer() is not None) or value.is_graph_input()):
            self.lengths = self.lengths or (value, next(iter(along)))
        if self.nodes is None:
            return value
        found = value
        for axis, span in along.items():
            inputs = [found, span.start, span.end, numbers(self.graph, [axis])]
            found = node(self.nodes, "Slice", inputs, self._named(value, "part"))
        for axis in (axis for axis, span in spans.items() if span is HEAD):
            assert self.heads is not None
            found = self.heads.one(found, like=value, axis=axis, nodes=None if found is value else self.nodes)
        return found

    def _keys(self, value: ir.Value, head: int, along: int) -> ir.Value:
        """One head of ``value``, along axis ``head``, of the keys that the block sees, along another: one copy of so much and no more.
        Where several heads of the queries share one of the keys, it is taken before it is repeated for each of them."""
        assert self.heads is not None
        assert self.keys is not None
        shared = repeated(value, head)
        self.inside |= dict.fromkeys(shared.way if shared else ())
        if shared is None and value.producer() is not None and constant(value) is None:
            self.lengths = self.lengths or (value, along)
        if self.nodes is None or self.keys.start is None or self.keys.end is None:
            return value
        part = (head, along), (self.keys.start, self.keys.end)
        if shared is None:
            return self.heads.keys(value, 1, *part, self._named(value, "part"))
        return self.heads.keys(self.heads.once(shared), shared.times, *part, self._named(value, "part"))

    def _copy(self, maker: ir.Node, inputs: Sequence[ir.Value | None], value: ir.Value, spans: Spans) -> ir.Value:
        nodes = self._nodes(spans)
        return value if nodes is None else copied(nodes, maker, inputs, self._named(value, "block"))

    def _nodes(self, spans: Spans) -> list[ir.Node] | None:
        """Where a part is made: in the block, or for each head of it."""
        return self.heads.nodes if HEAD in spans.values() and self.heads and self.nodes is not None else self.nodes

    def _named(self, value: ir.Value, what: str) -> str:
        made = len(self.nodes or ()) + len(self.heads.nodes if self.heads else ())
        return f"{value.name}.{self.name}.{made}.{what}"


def _recipe(maker: ir.Node, value: ir.Value, axis: int, *, over: bool) -> Recipe | None:
    """What a node needs for a part of its output along ``axis``; None where the operator is not known, so that its output is
    cut. ``over``: what is left out along the axis has no part in a Softmax over it."""
    rank, given = len(dims(value)), list(maker.inputs)
    if maker.domain not in ("", "ai.onnx") or len(maker.outputs) != 1:
        return None
    kind = maker.op_type
    if kind in TILES:
        return [(one, _aligned(one, rank, axis)) for one in given]
    if kind == "Softmax" and (over or maker.attributes.get_int("axis", -1) % rank != axis):
        return [(given[0], axis)]
    if kind == "Transpose":
        return [(given[0], maker.attributes["perm"].as_ints()[axis])]
    if kind in ("Unsqueeze", "Squeeze"):
        axes = constant(given[1]) if len(given) > 1 else None
        if axes is None:
            return None
        if kind == "Unsqueeze":
            new = sorted(int(one) % rank for one in axes.reshape(-1))
            return None if axis in new else [(given[0], axis - sum(one < axis for one in new)), (given[1], None)]
        gone = {int(one) % (rank + axes.size) for one in axes.reshape(-1)}
        return [(given[0], [i for i in range(rank + axes.size) if i not in gone][axis]), (given[1], None)]
    if kind in ("Reshape", "Expand"):
        # What comes after the axis is as it was, so the rows of a block are rows there too.
        sizes, before = dims(value), dims(given[0])
        place = axis - rank + len(before)
        if kind == "Expand" and place >= 0 and before[place] == 1:
            return [(given[0], None), (given[1], _SHAPE)]
        same = before[place:] == sizes[axis:] if kind == "Reshape" else before[place:][:1] == sizes[axis:][:1]
        return [(given[0], place), (given[1], _SHAPE)] if place >= 0 and same else None
    if kind == "MatMul":
        left, right = given
        if axis == rank - 2 and len(dims(left)) > 1:
            return [(left, len(dims(left)) - 2), (right, None)]
        if axis == rank - 1 and len(dims(right)) > 1:
            return [(left, None), (right, len(dims(right)) - 1)]
        if axis < rank - 2:
            return [(left, _aligned(left, rank, axis)), (right, _aligned(right, rank, axis))]
        return None
    if kind == "Gather":
        at = maker.attributes.get_int("axis", 0) % len(dims(given[0]))
        width = len(dims(given[1]))
        if at <= axis < at + width:
            return [(given[0], None), (given[1], axis - at)]
        return [(given[0], axis if axis < at else axis - width + 1), (given[1], None)]
    if kind == "GatherElements":
        at = maker.attributes.get_int("axis", 0) % rank
        return [(given[0], None if at == axis else axis), (given[1], axis)]
    return None


def _aligned(value: ir.Value | None, rank: int, axis: int) -> int | None:
    """The axis of an input that is broadcast to ``axis`` of an output of ``rank``; None where it has none."""
    if value is None:
        return None
    sizes = dims(value)
    place = axis - (rank - len(sizes))
    return None if place < 0 or sizes[place] == 1 else place
