"""How far a query sees: proved from the graph, by bounds of what is added to the scores of keys that are farther away.

A mask is made of positions, comparisons and sums. Of each value of it the least and the largest number is found that it can
have for a query and a key whose distance is beyond a limit; where the scores are then so low that their probability is 0,
whatever the text, no query sees beyond. So nothing is assumed of how a model's code writes its window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs.ir_tools import constant
from embedkit_export.tensors import MASK, POOL_MASK

from .sizes import Whole, dims

SCORE = 4096.0
"""A product of a query and a key is at most so large: a mask of -1e4 would not mask either if it were larger."""

UNSEEN = -(SCORE + 200)
"""A score that is lower has probability 0 beside one that is not masked: exp(-104) is 0 in float32."""

FARTHEST = 1 << 20
"""A window that is no smaller is none."""

_LARGEST_TABLE = 1 << 20
"""Numbers of a constant of which the bounds are read."""

_WHATEVER = (-math.inf, math.inf)

Bounds = tuple[float, float]


def seen(scores: ir.Value) -> tuple[int | None, int | None]:
    """How many keys before its own place and how many behind it a query sees at most, of (..., queries, keys) ``scores`` as
    a Softmax reads them; None where all."""
    return _limit(lambda limit: (-math.inf, -limit - 1.0), scores), _limit(
        lambda limit: (limit + 1.0, math.inf), scores
    )


def _limit(beyond: Callable[[int], Bounds], scores: ir.Value) -> int | None:
    """The least distance beyond which no key is seen."""
    try:
        rank = len(dims(scores))
        if not _unseen(scores, rank, beyond(FARTHEST)):
            return None
        low, high = 0, FARTHEST
        while low < high:
            middle = (low + high) // 2
            if _unseen(scores, rank, beyond(middle)):
                high = middle
            else:
                low = middle + 1
        return low
    except Whole:
        return None


def _unseen(scores: ir.Value, rank: int, distance: Bounds) -> bool:
    return _Bounder(distance).bounds(scores, rank - 2, rank - 1)[1] <= UNSEEN


@dataclass(frozen=True)
class _Number:
    """``query`` times the query's position, and ``key`` times the key's, and something from ``low`` to ``high``."""

    low: float
    high: float
    query: float = 0
    key: float = 0


class _Bounder:
    """Bounds of values for all queries and keys whose distance, the key's position less the query's, is within bounds."""

    def __init__(self, distance: Bounds) -> None:
        self.distance = distance
        self.done: dict[tuple[ir.Value, int | None, int | None], _Number] = {}

    def bounds(self, value: ir.Value | None, query: int | None, key: int | None) -> Bounds:
        """Of a value of which the axes ``query`` and ``key`` are those of the scores."""
        return self._span(self._number(value, query, key))

    def _span(self, number: _Number) -> Bounds:
        """Of a sum of positions: of the smaller of both, which may be any from 0 on, and of the distance to the other."""
        smaller = number.query + number.key
        far = number.key if self.distance[0] > 0 else -number.query
        low, high = sorted(far * end for end in self.distance) if far else (0.0, 0.0)
        return (
            -math.inf if smaller < 0 else number.low + low,
            math.inf if smaller > 0 else number.high + high,
        )

    def _number(self, value: ir.Value | None, query: int | None, key: int | None) -> _Number:
        if value is None:
            raise Whole
        place = value, query, key
        if place not in self.done:
            self.done[place] = self._found(value, query, key)
        return self.done[place]

    def _found(self, value: ir.Value, query: int | None, key: int | None) -> _Number:
        array = constant(value)
        if array is not None:
            plain = array.dtype.kind in "biuf" and 0 < array.size <= _LARGEST_TABLE
            return _Number(float(array.min()), float(array.max())) if plain else _Number(*_WHATEVER)
        if value.is_graph_input():
            return _Number(*((0.0, 1.0) if value.name in (MASK, POOL_MASK) else _WHATEVER))
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx") or len(node.outputs) != 1:
            return _Number(*_WHATEVER)
        moved = self._moved(node, value, query, key)
        if moved is not None:
            return moved
        kind, rank = node.op_type, len(dims(value))
        if kind == "MatMul":
            return _Number(-SCORE, SCORE)
        if kind == "Range":
            first, _, step = (constant(one) for one in node.inputs)
            if first is None or step is None or float(first) != 0 or float(step) != 1:
                return _Number(*_WHATEVER)
            return _Number(0, 0, query=float(query == 0), key=float(key == 0))
        if kind == "ConstantOfShape":
            filled = node.attributes.get("value")
            number = 0.0 if filled is None else float(filled.as_tensor().numpy().reshape(-1)[0])
            return _Number(number, number)
        known = kind in _SUMS or kind in _OF_BOUNDS or kind in ("Cast", "Where", "Identity")
        if not known or None in node.inputs or (kind == "Div" and not _fractional(value)):
            return _Number(*((0.0, 1.0) if value.dtype == ir.DataType.BOOL else _WHATEVER))
        given = [self._number(one, *_aligned(one, rank, query, key)) for one in node.inputs]
        if kind == "Identity" or (kind == "Cast" and _keeps(node)):
            return given[0]
        if kind in _SUMS:
            return _summed(kind, given, self._span)
        spans = [self._span(one) for one in given]
        if kind == "Where":
            if spans[0] in ((1, 1), (0, 0)):
                return given[1 if spans[0] == (1, 1) else 2]
            return _Number(min(spans[1][0], spans[2][0]), max(spans[1][1], spans[2][1]))
        if kind == "Cast":
            return _Number(*_cut(spans[0], bool(value.dtype == ir.DataType.BOOL)))
        if kind in _COMPARISONS:  # of a difference, in which positions cancel
            return _Number(*_OF_BOUNDS[kind](self._span(_summed("Sub", given, self._span))))
        return _Number(*_OF_BOUNDS[kind](*spans))

    def _moved(self, node: ir.Node, value: ir.Value, query: int | None, key: int | None) -> _Number | None:
        """Of an operator that only moves numbers, what it moves; None for another."""
        rank, places = len(dims(value)), (query, key)
        if node.op_type == "Transpose":
            perm = node.attributes["perm"].as_ints()
            return self._number(node.inputs[0], *(None if at is None else perm[at] for at in places))
        if node.op_type == "Expand":
            return self._number(node.inputs[0], *_aligned(node.inputs[0], rank, query, key))
        if node.op_type not in ("Unsqueeze", "Squeeze"):
            return None
        axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        if axes is None:
            return _Number(*_WHATEVER)
        changed = {int(axis) % (rank + (axes.size if node.op_type == "Squeeze" else 0)) for axis in axes.reshape(-1)}
        if node.op_type == "Unsqueeze":
            before = [i for i in range(rank) if i not in changed]
            return self._number(
                node.inputs[0], *(before.index(at) if at is not None and at in before else None for at in places)
            )
        left = [i for i in range(rank + axes.size) if i not in changed]
        return self._number(node.inputs[0], *(None if at is None else left[at] for at in places))


def _aligned(value: ir.Value | None, rank: int, query: int | None, key: int | None) -> list[int | None]:
    """The axes of an input that are broadcast to those of an output of ``rank``; None where it has one number for all."""
    sizes = dims(value)
    shift = rank - len(sizes)
    return [None if at is None or at < shift or sizes[at - shift] == 1 else at - shift for at in (query, key)]


def _fractional(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and value.dtype.is_floating_point()


def _keeps(node: ir.Node) -> bool:
    """Whether a Cast leaves numbers as they are, but for rounding: not what becomes truth, nor a fraction that is cut off."""
    to = ir.DataType(node.attributes["to"].as_int())
    source = node.inputs[0]
    known = source is not None and source.dtype is not None
    return to != ir.DataType.BOOL and known and (to.is_floating_point() or not _fractional(source))


def _cut(span: Bounds, truth: bool) -> Bounds:
    """Of a Cast that does not keep numbers as they are."""
    low, high = span
    if truth:
        return (0, 0) if low == high == 0 else (1, 1) if low > 0 or high < 0 else (0, 1)
    return low - 1, high + 1


_SUMS = {"Add", "Sub", "Neg", "Mul", "Div"}
"""Operators that keep a position a position."""


def _summed(kind: str, given: list[_Number], span: Callable[[_Number], Bounds]) -> _Number:
    if kind == "Neg":
        return _times(given[0], -1)
    left, right = given
    if kind == "Div":
        divisor = span(right)
        finite = divisor[0] == divisor[1] != 0 and math.isfinite(divisor[0])
        return _times(left, 1 / divisor[0]) if finite else _Number(*_WHATEVER)
    if kind == "Mul":
        for one, other in ((left, right), (right, left)):
            if one.query == one.key == 0 and one.low == one.high and math.isfinite(one.low):
                return _times(other, one.low)
        (a, b), (c, d) = span(left), span(right)
        products = [0.0 if 0 in (x, y) else x * y for x in (a, b) for y in (c, d)]
        return _Number(min(products), max(products))
    other = _times(right, -1) if kind == "Sub" else right
    low, high = left.low + other.low, left.high + other.high
    return _Number(
        -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high,
        left.query + other.query, left.key + other.key,
    )  # fmt: skip


def _times(number: _Number, factor: float) -> _Number:
    if factor == 0:
        return _Number(0, 0)
    low, high = sorted((number.low * factor, number.high * factor))
    return _Number(low, high, number.query * factor, number.key * factor)


_COMPARISONS = {"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"}

_OF_BOUNDS: dict[str, Callable[..., Bounds]] = {
    "Less": lambda d: (float(d[1] < 0), float(d[0] < 0)),
    "LessOrEqual": lambda d: (float(d[1] <= 0), float(d[0] <= 0)),
    "Greater": lambda d: (float(d[0] > 0), float(d[1] > 0)),
    "GreaterOrEqual": lambda d: (float(d[0] >= 0), float(d[1] >= 0)),
    "Equal": lambda d: (float(d[0] == d[1] == 0), float(d[0] <= 0 <= d[1])),
    "And": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "Or": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "Xor": lambda a, b: (float(a[0] == a[1] != b[0] == b[1]), 1.0 - float(a[0] == a[1] == b[0] == b[1])),
    "Not": lambda a: (1.0 - a[1], 1.0 - a[0]),
    "Abs": lambda a: (max(0.0, a[0], -a[1]), max(abs(a[0]), abs(a[1]))),
    "Max": lambda *all: (max(one[0] for one in all), max(one[1] for one in all)),
    "Min": lambda *all: (min(one[0] for one in all), min(one[1] for one in all)),
    "Relu": lambda a: (max(0.0, a[0]), max(0.0, a[1])),
    "Tanh": lambda a: (float(np.tanh(a[0])), float(np.tanh(a[1]))),
    "Sigmoid": lambda a: (0.0, 1.0),
    "Clip": lambda a, *ends: (
        min(max(a[0], ends[0][0] if ends else -math.inf), ends[1][1] if len(ends) > 1 else math.inf),
        min(max(a[1], ends[0][1] if ends else -math.inf), ends[1][1] if len(ends) > 1 else math.inf),
    ),
}  # fmt: skip
