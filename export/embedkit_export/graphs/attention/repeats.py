"""Heads of keys that several heads of queries share: in the graph each is repeated for those that share it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from .sizes import dims


@dataclass(frozen=True)
class Repeated:
    """A value whose heads are those of another, each ``times`` times."""

    source: ir.Value
    """Has the heads once, and behind their axis one of size 1."""
    axis: int
    """Of the heads in the source."""
    times: int
    way: tuple[ir.Node, ...]
    """The nodes from the source to the value: Expand, Reshape, and each Transpose behind them."""


def repeated(value: ir.Value, axis: int) -> Repeated | None:
    """Where the heads along ``axis`` of ``value`` come from, if several in a row are the same; else None."""
    way: list[ir.Node] = []
    maker = value.producer()
    while maker is not None and maker.op_type == "Transpose" and maker.inputs[0] is not None:
        way.append(maker)
        axis = maker.attributes["perm"].as_ints()[axis]
        maker = maker.inputs[0].producer()
    if maker is None or maker.op_type != "Reshape" or maker.inputs[0] is None:
        return None
    expand = maker.inputs[0].producer()
    if expand is None or expand.op_type != "Expand" or expand.inputs[0] is None:
        return None
    once, many, joined = dims(expand.inputs[0]), dims(expand.outputs[0]), dims(maker.outputs[0])
    if len(once) != len(many) or len(many) != len(joined) + 1:
        return None
    heads, times = many[axis : axis + 2]
    if not isinstance(heads, int) or not isinstance(times, int):
        return None
    if once != [*many[: axis + 1], 1, *many[axis + 2 :]] or joined != [*many[:axis], heads * times, *many[axis + 2 :]]:
        return None
    return Repeated(expand.inputs[0], axis, times, (expand, maker, *reversed(way)))
