"""The heads of an attention one after another, so that what is between the products stays in the processor's cache.

At 8,192 tokens the scores of 256 queries are 8 MB for one head, and 134 MB for sixteen: each of the operators in between would read
and write them in memory. A Scan takes a head of what has an axis for them, without copying it; what has none, as a mask has, is made
once for the block.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs.ir_tools import initializer

from .building import copied, inner, node, numbers
from .repeats import Repeated
from .sizes import dims


class Heads:
    """Collects what one head reads, and makes the Scan over all."""

    def __init__(self, graph: ir.Graph, count: int, axis: int, name: str, before: list[ir.Node]) -> None:
        """``count`` heads along ``axis`` of the attention; what all blocks share is made in ``before``."""
        self.graph, self.count, self.axis, self.name, self._before = graph, count, axis, name, before
        self.nodes: list[ir.Node] = []
        """What is computed for one head."""
        self._read: dict[tuple[ir.Value, int], ir.Value] = {}
        self._masks: dict[ir.Value, ir.Value] = {}
        self._given: list[ir.Value] = []
        self._taken: list[ir.Value] = []
        self._numbers: dict[int, tuple[ir.Value, ir.Value]] = {}
        self._once: dict[ir.Value, ir.Value] = {}

    def one(self, value: ir.Value, *, like: ir.Value, axis: int, nodes: list[ir.Node] | None) -> ir.Value:
        """One head of ``value`` along ``axis``, which stays, of size 1. ``like`` has its type and rank; ``nodes`` are those in which it
        was made, None for a value that all blocks share."""
        place = value, axis
        if place not in self._read:
            name = f"{self.name}.heads{len(self._given)}"
            if axis:
                order = [axis, *(i for i in range(len(dims(like))) if i != axis)]
                value = node(
                    self._before if nodes is None else nodes, "Transpose", [value], f"{name}.first", perm=order
                )
            taken = ir.Value(name=f"{name}.taken", type=like.type)
            self._given.append(value)
            self._taken.append(taken)
            self._read[place] = node(self.nodes, "Unsqueeze", [taken, numbers(self.graph, [axis])], f"{name}.one")
        return self._read[place]

    def keys(
        self, value: ir.Value, times: int, axes: tuple[int, int], part: tuple[ir.Value, ir.Value], name: str
    ) -> ir.Value:
        """One head of ``value`` along the first of ``axes``, which stays, of size 1, and along the second what is from the beginning to the
        end of ``part``. Each of its heads is that of ``times`` of the attention's."""
        both = [
            node(self.nodes, "Concat", [head, end], f"{name}.{i}", axis=0)
            for i, (head, end) in enumerate(zip(self._number(times), part, strict=True))
        ]
        return node(self.nodes, "Slice", [value, *both, numbers(self.graph, axes)], name)

    def _number(self, times: int) -> tuple[ir.Value, ir.Value]:
        """The head's number among those that ``times`` heads share, and the next."""
        if times not in self._numbers:
            name = f"{self.name}.number{times}"
            taken = ir.Value(name=f"{name}.taken", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([1]))
            self._given.append(
                initializer(
                    self.graph,
                    f"blocks.heads{self.count}_{times}",
                    np.arange(self.count, dtype=np.int64)[:, None] // times,
                )
            )
            self._taken.append(taken)
            self._numbers[times] = taken, node(self.nodes, "Add", [taken, numbers(self.graph, [1])], f"{name}.next")
        return self._numbers[times]

    def once(self, shared: Repeated) -> ir.Value:
        """What is repeated, before it is, in the order of axes in which it is needed."""
        value = shared.way[-1].outputs[0]
        if value not in self._once:
            name = f"{value.name}.{self.name}.once"
            found = node(self._before, "Squeeze", [shared.source, numbers(self.graph, [shared.axis + 1])], name)
            for turn in shared.way[2:]:
                found = copied(self._before, turn, [found], f"{name}.{turn.name}")
            self._once[value] = found
        return self._once[value]

    def chances(
        self, softmax: ir.Node, add: ir.Node, inputs: tuple[ir.Value, ir.Value], mask: ir.Value, name: str
    ) -> ir.Value:
        """A copy of ``softmax`` for one head, of the sum ``add`` of both ``inputs``, one of which is (of) ``mask``; that is added only
        where not all of it is 0, as it is where no text is padded: a tenth of the time of an
        attention of 8,192 tokens."""
        if mask not in self._masks:
            first = f"{self.name}.mask{len(self._masks)}"
            size = node(self._before, "Abs", [mask], f"{first}.size")
            size.type = mask.type
            most = node(self._before, "ReduceMax", [size], f"{first}.most", keepdims=0)
            assert mask.type is not None
            none = initializer(self.graph, f"blocks.none.{mask.type.dtype.name}", np.zeros((), mask.type.dtype.numpy()))
            self._masks[mask] = node(self._before, "Equal", [most, none], f"{first}.none")
        bare: list[ir.Node] = []
        full: list[ir.Node] = []
        scores = next(one for one in inputs if one is not inputs[add.inputs.index(mask)])
        without = copied(bare, softmax, [scores], f"{name}.bare")
        masked = copied(full, add, inputs, f"{name}.masked")
        ways = {"then_branch": inner(bare, [], [without], f"{name}.unpadded")}
        ways["else_branch"] = inner(full, [], [copied(full, softmax, [masked], f"{name}.full")], f"{name}.padded")
        out = ir.Value(name=name, type=softmax.outputs[0].type)
        given = [ir.AttrGraph(key, graph) for key, graph in ways.items()]
        self.nodes.append(ir.Node("", "If", [self._masks[mask]], given, outputs=[out], name=f"If.{name}"))
        return out

    def joined(self, found: ir.Value, rank: int, nodes: list[ir.Node]) -> ir.Value:
        """What is ``found`` for each head, of ``rank`` axes, beside one another along the axis of the heads; appended to ``nodes``."""
        out = node(self.nodes, "Squeeze", [found, numbers(self.graph, [self.axis])], f"{self.name}.head")
        out.type = found.type
        body = inner(self.nodes, self._taken, [out], f"{self.name}.one_head")
        stacked = node(nodes, "Scan", self._given, f"{self.name}.heads", body=body, num_scan_inputs=len(self._given))
        order = [*range(1, self.axis + 1), 0, *range(self.axis + 1, rank)]
        joint = node(nodes, "Transpose", [stacked], f"{self.name}.joint", perm=order)
        joint.type = found.type
        return joint
