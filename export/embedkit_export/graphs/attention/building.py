"""Nodes and graphs inside a graph, made in a line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs.ir_tools import initializer


def node(nodes: list[ir.Node], kind: str, inputs: Sequence[ir.Value | None], name: str, **attributes: Any) -> ir.Value:
    """The output called ``name`` of a new node, which is appended to ``nodes``."""
    out = ir.Value(name=name)
    given = [ir.convenience.convert_attribute(key, value) for key, value in attributes.items()]
    nodes.append(ir.Node("", kind, inputs, given, outputs=[out], name=f"{kind}.{name}"))
    return out


def copied(nodes: list[ir.Node], old: ir.Node, inputs: Sequence[ir.Value | None], name: str) -> ir.Value:
    """The output called ``name`` of a copy of ``old`` that reads other inputs, which is appended to ``nodes``."""
    out = ir.Value(name=name, type=old.outputs[0].type)
    attributes = list(old.attributes.values())
    nodes.append(ir.Node(old.domain, old.op_type, inputs, attributes, outputs=[out], name=f"{old.op_type}.{name}"))
    return out


def inner(nodes: Sequence[ir.Node], inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], name: str) -> ir.Graph:
    """A graph for an attribute of a node."""
    return ir.Graph(inputs, outputs, nodes=nodes, name=name)


def numbers(graph: ir.Graph, values: Sequence[int]) -> ir.Value:
    """An int64 initializer of the graph, which its inner graphs read."""
    name = "blocks." + "_".join(map(str, values))
    return initializer(graph, name, np.array(values, dtype=np.int64))
