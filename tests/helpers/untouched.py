"""That what reads a graph leaves it as it was: each object of it, not only the file it would make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir


@contextmanager
def untouched(model: ir.Model) -> Iterator[None]:
    """Fail where ``model`` is not the same after the block: outputs, names, types, shapes, readers, weights and notes."""
    graph = model.graph
    nodes, values = list(graph), _values(graph)  # held, so that no other object gets the identity of one of them
    tensors = [value.const_value for value in values]
    before, written = _facts(model), ir.to_proto(model).SerializeToString()
    yield
    assert model.graph is graph
    assert [id(node) for node in graph] == [id(node) for node in nodes]
    assert [id(value) for value in _values(graph)] == [id(value) for value in values]
    assert [id(value.const_value) for value in values] == [id(tensor) for tensor in tensors]
    after = _facts(model)
    assert {key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)} == {}
    assert ir.to_proto(model).SerializeToString() == written


def _values(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]


def _facts(model: ir.Model) -> dict[str, Any]:
    """What is known of the graph, of each node and of each value."""
    graph = model.graph
    about = (model.ir_version, model.producer_name, model.doc_string, model.metadata_props, graph.name)
    facts: dict[str, Any] = {
        "model": repr((*about, graph.doc_string, graph.metadata_props, graph.opset_imports, list(model.functions))),
        "inputs": [id(value) for value in graph.inputs],
        "outputs": [id(value) for value in graph.outputs],
    }
    for i, node in enumerate(graph):
        attributes = {name: id(attribute) for name, attribute in node.attributes.items()}
        facts[f"node {i}"] = (
            *(node.name, node.domain, node.op_type, node.doc_string, dict(node.metadata_props), attributes),
            *([id(value) for value in node.inputs], [id(value) for value in node.outputs]),
        )
    for value in _values(graph):
        facts[f"value {id(value)}"] = (
            *(value.name, str(value.shape), str(value.type), value.doc_string, dict(value.metadata_props)),
            *(value.is_graph_input(), value.is_graph_output(), value.is_initializer()),
            *(value.graph is graph, id(value.producer()), sorted((id(node), i) for node, i in value.uses())),
        )
    return facts
