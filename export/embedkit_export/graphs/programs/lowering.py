"""The few operators of a captured program that ONNX has no function for, put as others that it has.

`torch.export.ExportedProgram.run_decompositions` does so for every operator, by running the whole program again, twice: half
of a capture's time, for dropout, casts and `1 - x`. What a program of well-known operators needs is written down here; a
program with any other operator, or one that changes a tensor in place, is left to torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

_KEPT = frozenset(
    """
    getitem mul add sub mod floordiv eq ge le sym_not sym_min sym_max aten.sym_size.int aten.alias.default
    aten.abs.default aten.neg.default aten.sign.default aten.ceil.default aten.log.default aten.log1p.default aten.exp.default aten.sqrt.default
    aten.rsqrt.default aten.reciprocal.default aten.cos.default aten.sin.default
    aten.relu.default aten.gelu.default aten.silu.default aten.sigmoid.default aten.tanh.default
    aten.add.Tensor aten.sub.Tensor aten.mul.Tensor aten.div.Tensor aten.maximum.default aten.minimum.default
    aten.pow.Tensor_Scalar aten.clamp.default aten.cumsum.default
    aten.eq.Scalar aten.ne.Scalar aten.lt.Scalar aten.le.Scalar aten.gt.Scalar aten.ge.Scalar
    aten.eq.Tensor aten.ne.Tensor aten.lt.Tensor aten.le.Tensor aten.gt.Tensor aten.ge.Tensor
    aten.bitwise_not.default aten.bitwise_and.Tensor aten.bitwise_or.Tensor aten.logical_not.default aten.logical_and.default
    aten.logical_or.default aten.where.self aten.where.ScalarOther aten.masked_fill.Scalar aten.pad.default
    aten.sum.dim_IntList aten.mean.dim aten.amax.default aten.argmax.default aten.linalg_vector_norm.default
    aten.linear.default aten.addmm.default aten.matmul.default aten.bmm.default aten.conv1d.default aten.conv2d.default
    aten.layer_norm.default aten.softmax.int aten.embedding.default aten.gather.default aten.index.Tensor
    aten.view.default aten.reshape.default aten.flatten.using_ints aten.transpose.int aten.permute.default aten.expand.default
    aten.repeat.default aten.unsqueeze.default
    aten.squeeze.dim aten.slice.Tensor aten.select.int aten.cat.default aten.unbind.int aten.split.Tensor
    aten.arange.default aten.arange.start aten.zeros.default aten.ones.default aten.full.default aten.zeros_like.default
    aten.ones_like.default aten.full_like.default aten.new_ones.default aten.new_zeros.default aten.scalar_tensor.default aten.type_as.default
    """.split()  # noqa: SIM905 - a list of words
)
"""What has a function in torch's own table for ONNX, and stays what it is."""

_SAME = {"aten.dropout.default", "aten.lift_fresh_copy.default"} | {
    "aten.detach.default",
    "aten.detach_.default",
}
"""What gives its argument, where a model is not trained and nothing is changed in place."""

_CASTS = {"aten.to.dtype", "aten.to.device", "aten.to.dtype_layout"}

_CHECKS = {"aten._assert_tensor_metadata.default", "aten._assert_scalar.default"}
"""What computes nothing."""

_FRESH = {"aten.matmul.default", "aten.bmm.default", "aten.linear.default", "aten.add.Tensor", "aten.sub.Tensor"} | {
    "aten.mul.Tensor",
    "aten.div.Tensor",
}
"""What gives a tensor of its own, which is no part of another."""

_ATEN = torch.ops.aten
_CAST = torch.ops.prims.convert_element_type.default
_OTHERS = {
    "aten.min.other": _ATEN.minimum.default,
    "aten.max.other": _ATEN.maximum.default,
    "aten.__and__.Tensor": _ATEN.bitwise_and.Tensor,
    "aten.__or__.Tensor": _ATEN.bitwise_or.Tensor,
}
"""What takes the same arguments under another name."""

_IN_PLACE = {
    "aten.add_.Tensor": _ATEN.add.Tensor,
    "aten.sub_.Tensor": _ATEN.sub.Tensor,
    "aten.mul_.Tensor": _ATEN.mul.Tensor,
    "aten.div_.Tensor": _ATEN.div.Tensor,
}
"""What changes a tensor, and what makes another of it."""


@contextmanager
def lowered_lightly() -> Iterator[None]:
    """While this holds, programs of well-known operators are lowered here, and others by torch."""
    whole = ExportedProgram.run_decompositions

    def lower(program: ExportedProgram, *args: Any, **options: Any) -> ExportedProgram:
        return _lower(program) if is_known(program) else whole(program, *args, **options)

    ExportedProgram.run_decompositions = lower  # type: ignore[method-assign]
    try:
        yield
    finally:
        ExportedProgram.run_decompositions = whole  # type: ignore[method-assign]


def is_known(program: ExportedProgram) -> bool:
    """Whether all that a program does can be lowered here."""
    if any(isinstance(module, GraphModule) for module in program.graph_module.children()):
        return False  # a branch or a loop, which is a graph of its own
    return all(_can_lower(node) for node in program.graph.nodes if node.op == "call_function")


def _can_lower(node: Node) -> bool:
    name = _name(node)
    if name == "aten.dropout.default":
        return not node.args[2]
    if name == "aten.chunk.default":
        return isinstance(_chunk_size(node), int)
    if name == "aten.rsub.Scalar":
        return len(node.args) == 2 and not node.kwargs
    if name in _IN_PLACE:
        return _is_read_once(node)
    return name in ("aten.contiguous.default", "aten.numpy_T.default") or any(
        name in names for names in (_KEPT, _SAME, _CASTS, _OTHERS, _CHECKS)
    )


def _is_read_once(node: Node) -> bool:
    """Whether what ``node`` changes is its alone, so that making another tensor is the same."""
    changed, other = node.args[0], node.args[1]
    return (
        isinstance(changed, Node)
        and changed.op == "call_function"
        and _name(changed) in _FRESH
        and len(changed.users) == 1
        and (not isinstance(other, Node) or "val" not in other.meta or _dtype(other) == _dtype(changed))
    )


def _lower(program: ExportedProgram) -> ExportedProgram:
    graph = program.graph
    for node in list(graph.nodes):
        if node.op == "call_function":
            _lower_node(graph, node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _lower_node(graph: Graph, node: Node) -> None:
    name = _name(node)
    if name in _CHECKS:
        graph.erase_node(node)
    elif name in _SAME or (name in _CASTS and _dtype(node) == _dtype(node.args[0])):
        if any(user.op == "output" for user in node.users):  # which the program knows by its name
            _set(node, _ATEN.alias.default, (node.args[0],), {})
            return
        node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
        graph.erase_node(node)
    elif name in _CASTS:
        _set(node, _CAST, (node.args[0], _dtype(node)), {})
    elif name == "aten.contiguous.default":  # which a view behind it needs, and ONNX does not know
        _set(node, _ATEN.clone.default, (node.args[0],), {"memory_format": torch.contiguous_format})
    elif name == "aten.numpy_T.default":
        axes = range(node.args[0].meta["val"].ndim)  # type: ignore[union-attr]
        _set(node, _ATEN.permute.default, (node.args[0], list(reversed(axes))), {})
    elif name == "aten.rsub.Scalar":
        _set(node, _ATEN.sub.Tensor, (node.args[1], node.args[0]), {})
    elif name == "aten.chunk.default":
        _set(node, _ATEN.split.Tensor, (node.args[0], _chunk_size(node), *node.args[2:]), dict(node.kwargs))
    elif name in _OTHERS or name in _IN_PLACE:
        _set(node, _OTHERS.get(name) or _IN_PLACE[name], node.args, dict(node.kwargs))


def _name(node: Node) -> str:
    target: Any = node.target
    return str(target) if str(target).startswith("aten.") else str(getattr(target, "__name__", target))


def _set(node: Node, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    node.target, node.args, node.kwargs = target, args, kwargs


def _dtype(node: Any) -> torch.dtype:
    found: torch.dtype = node.meta["val"].dtype
    return found


def _chunk_size(node: Node) -> Any:
    """How much of the axis each part has, all but the last: an integer unless the axis is free."""
    whole: Any = node.args[0]
    axis: Any = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
    size = whole.meta["val"].shape[axis]
    return -(-size // node.args[1]) if isinstance(size, int) else size  # type: ignore[operator]
