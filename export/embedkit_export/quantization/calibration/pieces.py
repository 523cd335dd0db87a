"""A graph in pieces that run one after the other, so that the weights of one piece only are in memory, and what is measured of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

_NOWHERE = 1 << 30
"""A place that hands on what has no type is none to cut at."""


@dataclass(frozen=True)
class Piece:
    """The nodes between some values of a graph and others, all by name."""

    inputs: tuple[str, ...]
    """What it reads of the graph's inputs and of the pieces before it."""
    outputs: tuple[str, ...]
    """What pieces after it read."""
    asked: tuple[str, ...]
    """What it makes of the values that were asked for."""

    def model(self, whole: ir.Model) -> ir.Model:
        """The piece of ``whole`` as a graph of its own, which makes its outputs and what was asked for; weights are shared."""
        graph = ir.convenience.extract(whole.graph, self.inputs, list(dict.fromkeys((*self.asked, *self.outputs))))
        return ir.Model(graph, ir_version=whole.ir_version)


def pieces(model: ir.Model, asked: Mapping[str, int], room: int) -> list[Piece]:
    """The part of ``model`` that makes the values ``asked``, cut where little is handed on.

    Args:
        model: a graph, which is left as it is.
        asked: the names of values, with the bytes that measuring each takes.
        room: bytes of weights and measures from which a piece ends at the place, before it holds twice as much, where the fewest
            values are handed on.

    Raises `KeyError` for a name that no node makes.
    """
    nodes = _needed(model.graph, asked)
    made = {value: i for i, node in enumerate(nodes) for value in node.outputs}
    last: dict[ir.Value, int] = {}
    for i, node in enumerate(nodes):
        last.update(dict.fromkeys(_reads(node), i))
    bounds = _bounds(nodes, made, last, asked, room)
    found = []
    for start, end in itertools.pairwise(bounds):
        own = [value for node in nodes[start:end] for value in node.outputs]
        read = dict.fromkeys(value for node in nodes[start:end] for value in _reads(node))
        inputs = [value for value in read if value.is_graph_input() or made.get(value, start) < start]
        handed = [value for value in own if last.get(value, -1) >= end]
        wanted = [value for value in own if value.name in asked]
        found.append(Piece(*(tuple(str(value.name) for value in group) for group in (inputs, handed, wanted))))
    return found


def _bounds(
    nodes: Sequence[ir.Node],
    made: Mapping[ir.Value, int],
    last: Mapping[ir.Value, int],
    asked: Mapping[str, int],
    room: int,
) -> list[int]:
    """The numbers of the nodes with which pieces begin, and how many nodes there are."""
    change = [0] * (len(nodes) + 1)
    for value, i in made.items():
        if last.get(value, i) > i:
            weight = 1 if value.type is not None else _NOWHERE
            change[i + 1] += weight
            change[last[value] + 1] -= weight
    bounds, handed_on, held = [0], 0, 0
    best, fewest = 0, _NOWHERE
    for place, node in enumerate(nodes[:-1], 1):
        held += _cost(node, asked)
        handed_on += change[place]
        if held >= room and handed_on < fewest:
            best, fewest = place, handed_on
        if held >= 2 * room and fewest < _NOWHERE:
            bounds.append(best)
            held, fewest = sum(_cost(one, asked) for one in nodes[best:place]), _NOWHERE
    return [*bounds, len(nodes)]


def _cost(node: ir.Node, asked: Mapping[str, int]) -> int:
    """Bytes of the weights that a node reads, and of what is measured of the values it makes."""
    weights = [value.const_value.nbytes for value in _reads(node) if value.const_value is not None]
    return sum(weights) + sum(asked.get(str(value.name), 0) for value in node.outputs)


def _needed(graph: ir.Graph, asked: Mapping[str, int]) -> list[ir.Node]:
    """The nodes that the values asked for need, in their order."""
    there = {value.name: value for node in graph for value in node.outputs}
    wanted = {there[name] for name in asked}
    found = []
    for node in reversed(list(graph)):
        if not wanted.isdisjoint(node.outputs):
            found.append(node)
            wanted.update(_reads(node))
    return found[::-1]


def _reads(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, and what the graphs inside it read of the graph that it is in."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        single = attribute.type == ir.AttributeType.GRAPH
        inner = [attribute.as_graph()] if single else []
        for graph in attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else inner:
            read = [value for one in graph.all_nodes() for value in one.inputs if value is not None]
            yield from (value for value in (*read, *graph.outputs) if value.graph is node.graph)
