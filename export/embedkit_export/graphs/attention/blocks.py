"""Attention of long texts by blocks of queries, so that no scores of all tokens with all tokens are ever in memory.

An attention is MatMul, Softmax, MatMul with scores of (batch, heads, tokens, tokens): at 8,192 tokens and 12 heads 3.2 GB
for one text. Above `LEAST` tokens a Loop computes it for `ROWS` queries at a time, with the same products: a row of a
product does not depend on how many rows there are, so the vectors are the same bytes, whichever way the length of a batch
chooses. Masks and biases of (tokens, tokens) are computed for the block, from the positions on, and nowhere else.

The heads of a block are computed one after another (`heads`). Where the mask lets no query of a block see them (`bands`), keys
are left out of its products: behind the last query of a decoder, and outside the window of a local layer. The products with
their values, which are all 0, are left out of a sum. The others are added as before only where the rest begins with a panel of
the sum, see `panel`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs.ir_tools import initializer, remove_unused

from .bands import seen
from .building import copied, inner, node, numbers
from .heads import Heads
from .parts import Parts, Span
from .sizes import Whole, dims, quadratic

ROWS = 256
"""Queries of a block."""

LOCAL_ROWS = 512
"""Queries of a block of a layer whose queries see few keys: fewer of these are then seen by one query and not by another."""

LOCAL = 1024
"""Keys that a query sees are so many at most, to be few."""

_HEADS = 1
"""The axis of the heads in an attention of four axes."""

LEAST = 512
"""Up to so many tokens an attention is left whole."""


def cut_attention(model: ir.Model) -> int:
    """Let each attention of ``model`` that can be cut compute long texts by blocks; how many can."""
    graph = model.graph
    cuts = [cut for softmax in graph if (cut := _cut(graph, softmax)) is not None]
    shared = _shared(cuts)
    made: dict[ir.Value, ir.Value] = {}
    for cut in cuts:
        cut.apply(shared, made)
    if cuts:
        remove_unused(model)
    return len(cuts)


def _cut(graph: ir.Graph, softmax: ir.Node) -> _Cut | None:
    context = _attention(softmax)
    if context is None:
        return None
    scores = softmax.inputs[0]
    assert scores is not None
    try:
        before, behind = seen(scores)
        if before is not None or behind is not None:
            try:
                return _Cut(graph, context, before, behind, local=True)
            except Whole:
                pass
        return _Cut(graph, context)
    except Whole:
        return None


def _attention(softmax: ir.Node) -> ir.Node | None:
    """The product of an attention's probabilities with its values, where ``softmax`` makes the probabilities."""
    if softmax.op_type != "Softmax" or softmax.domain not in ("", "ai.onnx"):
        return None
    probabilities = softmax.outputs[0]
    axis = softmax.attributes.get("axis")
    rank = probabilities.shape.rank() if probabilities.shape is not None else 0
    if rank < 3 or (axis is not None and axis.as_int() not in (-1, rank - 1)) or not quadratic(probabilities):
        return None
    readers = [use[0] for use in probabilities.uses()]
    while len(readers) == 1 and readers[0].op_type in ("Cast", "Reshape"):
        probabilities = readers[0].outputs[0]
        readers = [use[0] for use in probabilities.uses()]
    if len(readers) != 1 or readers[0].op_type != "MatMul" or readers[0].inputs[0] is not probabilities:
        return None
    return readers[0]


def panel(width: int) -> int:
    """Keys whose products with the values, of ``width`` numbers each, are summed up before they are added to those of the
    keys before. onnxruntime's are 128 keys, and more where the values are narrow; a multiple does as well."""
    keys = 256
    while keys < 1024 and width <= 128 * 128 // (2 * keys):
        keys *= 2
    return keys


class _Cut:
    """One attention: what of the graph belongs to it, and how its queries are taken by blocks."""

    def __init__(
        self,
        graph: ir.Graph,
        context: ir.Node,
        before: int | None = None,
        behind: int | None = None,
        *,
        local: bool = False,
    ) -> None:
        """A query sees so many keys ``before`` and ``behind`` itself, None for all, where the attention is ``local``. Raises
        `Whole` where it cannot be cut."""
        self.graph, self.context, self.before, self.behind, self.local = graph, context, before, behind, local
        self.out = context.outputs[0]
        self.rank = len(dims(self.out))
        self.axis = self.rank - 2
        self.length, self.width = dims(self.out)[-2:]
        if not isinstance(self.width, int):
            raise Whole
        self.heads = self._heads()
        try:
            needed = self._parts(Span(), Span(), None, self._one_by_one([]))
            needed.context(context)
        except Whole:
            if not self.heads:
                raise
            self.heads = 0
            needed = self._parts(Span(), Span(), None, None)
            needed.context(context)
        self.inside = needed.inside
        """The nodes of which a block computes a part."""
        if needed.lengths is None:
            raise Whole
        self.sliced = needed.lengths
        few = before is not None and behind is not None and before + behind <= LOCAL
        self.rows = LOCAL_ROWS if few else ROWS

    def _heads(self) -> int:
        """How many heads there are that can be taken one after another, 0 where their axis is not known."""
        count = dims(self.out)[_HEADS] if self.rank == 4 else 0
        return count if isinstance(count, int) and count > 1 else 0

    def _one_by_one(self, before: list[ir.Node]) -> Heads | None:
        return Heads(self.graph, self.heads, _HEADS, str(self.out.name), before) if self.heads else None

    def _parts(self, rows: Span, keys: Span, nodes: list[ir.Node] | None, heads: Heads | None) -> Parts:
        seen = keys if self.local else None
        return Parts(self.graph, self.length, rows, seen, nodes=nodes, name=str(self.out.name), heads=heads)

    def apply(self, shared: set[ir.Node], made: dict[ir.Value, ir.Value]) -> None:
        """Put an If of both ways in the place of the attention."""
        name = str(self.out.name)
        begin: list[ir.Node] = []
        value, axis = self.sliced
        tokens = node(begin, "Shape", [value], f"{name}.tokens", start=axis, end=axis + 1)
        long = node(begin, "Greater", [tokens, numbers(self.graph, [LEAST])], f"{name}.long")
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
        for old in self.inside:
            if old in shared:
                continue
            inputs = [copies.get(value, value) if value is not None else None for value in old.inputs]
            for i, value in enumerate(inputs):
                if value is not None and value.producer() in shared:
                    if value not in made:
                        made[value] = self._once(value, long, begin)
                    inputs[i] = made[value]
            copies[old.outputs[0]] = copied(nodes, old, inputs, f"{old.outputs[0].name}.{name}.whole")
        return inner(nodes, [], [copies[self.out]], f"{name}.short")

    def _once(self, value: ir.Value, long: ir.Value, begin: list[ir.Node]) -> ir.Value:
        """``value`` for short texts, and one number for long ones, which do not read it."""
        order: list[ir.Node] = []

        def need(wanted: ir.Value) -> None:
            maker = wanted.producer()
            if maker is None or maker not in self.inside or maker in order:
                return
            for given in maker.inputs:
                if given is not None:
                    need(given)
            order.append(maker)

        need(value)
        nodes: list[ir.Node] = []
        copies: dict[ir.Value, ir.Value] = {}
        for old in order:
            inputs = [copies.get(given, given) if given is not None else None for given in old.inputs]
            copies[old.outputs[0]] = copied(nodes, old, inputs, f"{old.outputs[0].name}.short")
        none: list[ir.Node] = []
        ones = numbers(self.graph, [1] * len(dims(value)))
        assert value.type is not None
        filled = ir.tensor(np.zeros(1, dtype=value.type.dtype.numpy()))
        empty = node(none, "ConstantOfShape", [ones], f"{value.name}.none", value=filled)
        empty.type = value.type
        branch = ir.Node(
            "", "If", [long],
            [
                ir.AttrGraph("then_branch", inner(none, [], [empty], f"{value.name}.long")),
                ir.AttrGraph("else_branch", inner(nodes, [], [copies[value]], f"{value.name}.short")),
            ],
            outputs=[ir.Value(name=f"{value.name}.if_short", type=value.type)],
        )  # fmt: skip
        begin.append(branch)
        return branch.outputs[0]

    def _by_blocks(self, name: str, tokens: ir.Value) -> ir.Graph:
        """The attention for some queries at a time; the last block ends with the text, and so overlaps the one before."""

        def number(value: int) -> ir.Value:
            return numbers(self.graph, [value])

        rows = number(self.rows)
        nodes: list[ir.Node] = []
        last = node(nodes, "Sub", [tokens, rows], f"{name}.last")
        more = node(nodes, "Add", [last, number(2 * self.rows - 1)], f"{name}.more")
        blocks = node(nodes, "Div", [more, rows], f"{name}.blocks")
        count = node(nodes, "Squeeze", [blocks], f"{name}.count")
        step = ir.Value(name=f"{name}.step", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
        going = ir.Value(name=f"{name}.going", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.BOOL))
        block: list[ir.Node] = []
        at = node(block, "Mul", [step, rows], f"{name}.at")
        start = node(block, "Min", [at, last], f"{name}.start")
        end = node(block, "Add", [start, rows], f"{name}.end")
        heads = self._one_by_one(nodes)
        seen = self._keys(block, start, end, tokens, name)
        found = self._parts(Span(start, end, rows), seen, block, heads).context(self.context)
        if heads is not None:
            found = heads.joined(found, self.rank, block)
        on = node(block, "Identity", [going], f"{name}.on")
        on.type, found.type = going.type, self.out.type
        body = inner(block, [step, going], [on, found], f"{name}.block")
        always = initializer(self.graph, "blocks.always", np.array(True))
        loop = ir.Node(
            "", "Loop", [count, always], [ir.AttrGraph("body", body)], outputs=[ir.Value(name=f"{name}.stacked")]
        )
        nodes.append(loop)
        axis, rank = self.axis, self.rank
        order = [*range(1, axis + 1), 0, *range(axis + 1, rank + 1)]
        moved = node(nodes, "Transpose", [loop.outputs[0]], f"{name}.moved", perm=order)
        joint = numbers(self.graph, [*[0] * axis, -1, self.width])
        flat = node(nodes, "Reshape", [moved, joint], f"{name}.flat")
        head = node(nodes, "Slice", [flat, number(0), last, number(axis)], f"{name}.head")
        tail = node(nodes, "Slice", [flat, number(-self.rows), number(2**62), number(axis)], f"{name}.tail")
        joined = node(nodes, "Concat", [head, tail], f"{name}.joined", axis=axis)
        joined.type = self.out.type
        return inner(nodes, [], [joined], f"{name}.blocks")

    def _keys(self, nodes: list[ir.Node], start: ir.Value, end: ir.Value, tokens: ir.Value, name: str) -> Span:
        """The keys that the queries from ``start`` to ``end`` see, from the beginning of a panel on."""
        first, stop = numbers(self.graph, [0]), tokens
        if self.before is not None:
            size = numbers(self.graph, [panel(self.width)])
            earliest = node(nodes, "Sub", [start, numbers(self.graph, [self.before])], f"{name}.earliest")
            inside = node(nodes, "Max", [earliest, first], f"{name}.inside")
            panels = node(nodes, "Div", [inside, size], f"{name}.panels")
            first = node(nodes, "Mul", [panels, size], f"{name}.first")
        if self.behind is not None:
            latest = node(nodes, "Add", [end, numbers(self.graph, [self.behind])], f"{name}.latest")
            stop = node(nodes, "Min", [latest, tokens], f"{name}.stop")
        return Span(first, stop, node(nodes, "Sub", [stop, first], f"{name}.seen"))


def _shared(cuts: Sequence[_Cut]) -> set[ir.Node]:
    """The nodes that several attentions have, or that something else reads too."""
    own = {each for cut in cuts for each in cut.inside}
    owners: dict[ir.Node, int] = {}
    for cut in cuts:
        for inside in cut.inside:
            owners[inside] = owners.get(inside, 0) + 1
    found = {each for each, count in owners.items() if count > 1}
    ends = {cut.context for cut in cuts}
    for one in own - ends:
        if one.outputs[0].is_graph_output() or any(use[0] not in own for use in one.outputs[0].uses()):
            found.add(one)
    return found - ends
