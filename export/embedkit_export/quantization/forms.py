"""The precisions of a graph, each in one or several forms, the smallest or fastest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from embedkit.errors import ExportError
from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.graphs.rows import as_rows
from embedkit_export.tensors import Feed, Floats

from . import blockwise, convolutions, fp16, rowwise
from .calibration.sessions import open_session
from .calibration.statistics import Statistics, footprint
from .products import products

_SAFER = (
    ("most sensitive", 1 / 32, 1 / 8),
    ("most sensitive", 1 / 8, 1 / 4),
    ("most sensitive", 1 / 4, 3 / 8),
    ("first", 1 / 4, 1 / 2),
    ("most sensitive", 1 / 2, 5 / 8),
    ("first", 1 / 2, 3 / 4),
)
"""Which products stay in fp32 in the safer forms of int8, and what share of all; then the share of the convolutions, of which the
first stay. The first products, because a token that tips over does so by the errors of all layers before: where that happens, no
single product is to blame."""
_FINE = (1 / 2, 4 / 5)
"""Shares of the products that get 8 bits in the safer forms of w4."""
_PROBES = 8
_SOUGHT = 96
"""Texts among which the hardest for int8 are sought."""
_LEAST_FP16 = 0.999
_KEPT_BYTES = 1 << 28
"""Bytes of statistics that are kept for the next form or precision that needs them."""


class NothingToQuantise(ExportError):
    """A variant would be the fp32 graph again."""


@dataclass
class FusedGraph:
    """A fused fp32 graph with what calibrates it: typical inputs, one text each, and how long a text may
    be."""

    model: ir.Model
    feeds: Sequence[Feed]
    max_tokens: int = 0
    _statistics: dict[str, Statistics] | None = field(default=None, repr=False)
    _choices: dict[str, rowwise.Choice] | None = field(default=None, repr=False)
    _kernels: dict[str, convolutions.Choice] | None = field(default=None, repr=False)
    _order: list[str] | None = field(default=None, repr=False)
    _fine: dict[tuple[int, int], list[str]] = field(default_factory=dict, repr=False)

    def statistics(self) -> Iterable[tuple[str, Statistics]]:
        """Of the inputs of the quantisable products, by value name; of a large model they are computed each time, one after the
        other."""
        if self._statistics is None:
            found = rowwise.calibrate(self.model, self.feeds)
            if sum(map(footprint, rowwise.read(self.model).values())) > _KEPT_BYTES:
                return found
            self._statistics = dict(found)
        return self._statistics.items()

    def choices(self) -> dict[str, rowwise.Choice]:
        """How the products become int8; computed once."""
        if self._choices is None:
            self._choices = rowwise.choose(self.model, self.statistics())
        return self._choices

    def kernels(self) -> dict[str, convolutions.Choice]:
        """How the convolutions over pictures become int8, where they are most of the work; computed once."""
        if self._kernels is None:
            most = convolutions.are_most(self.model)
            self._kernels = convolutions.choose(self.model, self.feeds) if most else {}
        return self._kernels

    def sensitive(self) -> list[str]:
        """The products, those first that gain most for their size by staying in fp32."""
        if self._order is None:
            found = rowwise.sensitivity(self.model, self.feeds[:_SOUGHT], self.choices())
            self._order = [name for name, _ in found]
        return self._order

    def in_order(self) -> list[str]:
        """The products, those nearest to the tokens first."""
        return [product.name for product in products(self.model)]

    def moments(self) -> Iterator[tuple[str, Floats]]:
        """The name of each quantisable product's input with its (k, k) second moments."""
        return ((name, found.moment()) for name, found in self.statistics())

    def fine(self, bits: int, block: int) -> list[str]:
        """The products, those first whose weights in ``bits`` bits do most damage for their size."""
        if (bits, block) not in self._fine:
            found = blockwise.sensitivity(self.model, self.feeds[:_PROBES], self.moments(), bits=bits, block=block)
            self._fine[bits, block] = [name for name, _ in found]
        return self._fine[bits, block]


@dataclass(frozen=True)
class Form:
    """One way to make a variant: what to call it, and how a ground becomes its graph; ``kernels`` is what it is called of a graph of
    convolutions."""

    name: str
    build: Callable[[FusedGraph], ir.Model]
    kernels: str = ""
    differs: Callable[[FusedGraph], bool] = lambda _: True
    """Whether it makes of a graph what the form before it did not."""

    def called(self, ground: FusedGraph) -> str:
        """Its name for one graph."""
        if not self.kernels or not ground.kernels():
            return self.name
        return f"{self.name}, {self.kernels}" if products(ground.model) else self.kernels


def forms(variant: str) -> Iterator[Form]:
    """The ways to make a variant, each safer (closer to fp32) than the one before."""
    if variant == "fp32":
        yield Form("fp32", lambda ground: ground.model)
    elif variant == "fp16":
        yield Form("fp16", _fp16)
    elif variant == "int8":
        static = "static int8 convolutions"
        yield Form("row-wise int8", lambda ground: _int8(ground, (), tables=True), static)
        name = "row-wise int8 with the table of tokens in fp32"
        yield Form(name, lambda ground: _int8(ground, ()), static, lambda ground: rowwise.has_tables(ground.model))
        for which, share, first in _SAFER:
            name = f"row-wise int8 with the {which} {share:.0%} of the products in fp32"
            yield Form(name, _keeping(which, share, first), f"{static} with the first {first:.0%} in fp32")
    elif variant == "w8":
        yield Form("8-bit weights in blocks of 32", _blocks(8, 32, 8))
        yield Form("8-bit weights in blocks of 16", _blocks(8, 16, 8))
    else:
        name = "4-bit weights in blocks of 32"
        yield Form(name, _blocks(4, 32, 4))
        for share in _FINE:
            fine = f"{name} with the most sensitive {share:.0%} of the products in 8 bits"
            yield Form(fine, _blocks(4, 32, 4, share))
        # A coarse table of tokens costs less than coarse products, and is most of a small model.
        yield Form("a 4-bit table of tokens with all products in 8 bits", _blocks(8, 32, 4))


def _fp16(ground: FusedGraph) -> ir.Model:
    graph = own_copy(ground.model)
    if not fp16.fp16(graph):
        raise NothingToQuantise("fp16: the graph has no product of token vectors that could be halved")
    _check_range(graph, ground)
    return graph


def _check_range(graph: ir.Model, ground: FusedGraph) -> None:
    """onnxruntime computes fp16 in fp32 on CPU, where nothing overflows: here each number is rounded as on a GPU."""
    shown = own_copy(graph)
    fp16.show_rounding(shown)
    output = str(shown.graph.outputs[0].name)
    exact, rounded = (open_session(model, feeds=ground.feeds) for model in (ground.model, shown))
    for feed in ground.feeds[:_PROBES]:
        a, b = (session.run([output], dict(feed))[0].astype(np.float64).ravel() for session in (exact, rounded))
        likeness = float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
        if not likeness > _LEAST_FP16:
            raise ExportError(
                f"fp16: rounded as on a GPU a vector has a cosine of {likeness:.4f} with fp32: numbers inside the model are too large for "
                "half precision"
            )


def _keeping(which: str, share: float, first: float) -> Callable[[FusedGraph], ir.Model]:
    def build(ground: FusedGraph) -> ir.Model:
        order: list[str] = []
        if products(ground.model):
            order = ground.in_order() if which == "first" else ground.sensitive()
        return _int8(ground, order[: max(1, round(share * len(order)))], first)

    return build


def _int8(ground: FusedGraph, keep: Sequence[str], first: float = 0.0, *, tables: bool = False) -> ir.Model:
    graph = own_copy(ground.model)
    kernels = list(ground.kernels())
    done = rowwise.rowwise_int8(graph, ground.choices(), keep=keep)
    done += convolutions.static_int8(graph, ground.kernels(), keep=kernels[: round(first * len(kernels))])
    if not done:
        raise NothingToQuantise(
            "int8: the graph has no product of token vectors with a weight, and too few convolutions, to quantise; fp32 is as fast"
        )
    if tables:
        rowwise.rowwise_tables(graph)
    as_rows(graph)
    return graph


def _blocks(bits: int, block: int, table_bits: int, share: float = 0.0) -> Callable[[FusedGraph], ir.Model]:
    def build(ground: FusedGraph) -> ir.Model:
        graph = own_copy(ground.model)
        order = ground.fine(bits, block) if share else []
        fine = order[: max(1, round(share * len(order)))] if share else ()
        if not blockwise.block_weights(
            graph, bits=bits, block=block, table_bits=table_bits, moments=ground.moments(), fine=fine
        ):
            raise NothingToQuantise(
                f"w{bits}: the graph has no product of token vectors with a weight, and no large table, to quantise"
            )
        return graph

    return build
