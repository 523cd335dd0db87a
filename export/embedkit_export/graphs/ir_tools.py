"""What all rewrites of a graph use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

MICROSOFT = "com.microsoft"


CONVOLUTION = "embedkit.convolution"
"""Marks the products that a convolution was, in the metadata of a node."""


def constant(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The numbers of an initializer, else None."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def producer(value: ir.Value | None, *kinds: str) -> ir.Node | None:
    """The node that makes ``value`` if it is one of ``kinds`` and nothing else reads what it makes."""
    node = value.producer() if value is not None else None
    if (
        node is None
        or node.op_type not in kinds
        or len(list(node.outputs[0].uses())) != 1
        or node.outputs[0].is_graph_output()
    ):
        return None
    return node


def initializer(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """A new initializer of the graph, or the one of this name that is there."""
    found = graph.initializers.get(name)
    if found is not None:
        return found
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let every reader of ``old`` read ``new``."""
    old.replace_all_uses_with(new, replace_graph_outputs=True)


@contextmanager
def named_outputs(model: ir.Model) -> Iterator[None]:
    """After the block the outputs have the names of before, whatever values they have become: a bundle asks by name."""
    graph = model.graph
    names = [out.name for out in graph.outputs]
    yield
    held = {value.name: value for node in graph for value in node.outputs}
    for out, name in zip(graph.outputs, names, strict=True):
        if out.name != name:
            if name in held:
                held[name].name = f"{name}.before"
            out.name = name


def remove_unused(model: ir.Model) -> None:
    """Drop nodes and initializers that nothing reads."""
    RemoveUnusedNodesPass()(model)


def own_copy(model: ir.Model) -> ir.Model:
    """A copy without the traces of source files that the capture leaves in it; weights that lie in a file are read, for
    a copy does not know where that file is."""
    copied = ir.external_data.load_to_model(model.clone())
    strip(copied)
    return copied


def strip(model: ir.Model) -> None:
    """Forget names and notes that come from source files, so that two captures are the same bytes."""
    model.doc_string = None
    model.metadata_props.clear()
    model.producer_name, model.producer_version = "embedkit", None
    graph = model.graph
    graph.name, graph.doc_string = "encoder", None
    graph.metadata_props.clear()
    values: list[Any] = [*graph.inputs, *graph.initializers.values()]
    for i, node in enumerate(graph.all_nodes()):
        node.doc_string = None
        kept = CONVOLUTION in node.metadata_props
        node.metadata_props.clear()
        if kept:
            node.metadata_props[CONVOLUTION] = "1"
        node.name = f"{node.op_type}_{i}"
        values.extend(node.outputs)
    for value in values:
        value.doc_string = None
        value.metadata_props.clear()
