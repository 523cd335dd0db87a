"""The precisions of a graph, each in one or several forms, the smallest or fastest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from embedkit.errors import ExportError

from . import blockwise, half, quantize
from .calibrate import Feed, Statistics
from .capture import own_copy

VARIANTS = ("fp32", "fp16", "int8", "w8", "w4")
MEANING = {
    "fp32": "as trained",
    "fp16": "half precision, for a GPU",
    "int8": "row-wise 8-bit products, the fastest on CPU",
    "w8": "8-bit weights in blocks, where size matters more than speed",
    "w4": "4-bit weights in blocks, the smallest",
}
_SENSITIVE = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the products that stay in fp32 in the safer forms of int8."""
_PROBES = 8


@dataclass
class Ground:
    """A fused fp32 graph with what calibrates it: typical inputs, one text each."""

    model: ir.Model
    feeds: Sequence[Feed]
    _statistics: dict[str, Statistics] | None = field(default=None, repr=False)
    _order: list[str] | None = field(default=None, repr=False)

    def statistics(self) -> dict[str, Statistics]:
        """Of the inputs of the quantisable products, by value name; computed once."""
        if self._statistics is None:
            self._statistics = quantize.calibrate(self.model, self.feeds)
        return self._statistics

    def sensitive(self) -> list[str]:
        """The products, those whose quantisation does most damage first."""
        if self._order is None:
            found = quantize.sensitivity(self.model, self.feeds[:_PROBES], self.statistics())
            self._order = [name for name, _ in found]
        return self._order


@dataclass(frozen=True)
class Form:
    """One way to make a variant: what to call it, and how a ground becomes its graph."""

    name: str
    build: Callable[[Ground], ir.Model]


def forms(variant: str) -> Iterator[Form]:
    """The ways to make a variant, each safer (closer to fp32) than the one before."""
    if variant == "fp32":
        yield Form("fp32", lambda ground: ground.model)
    elif variant == "fp16":
        yield Form("fp16", _fp16)
    elif variant == "int8":
        yield Form("row-wise int8", lambda ground: _int8(ground, 0))
        for share in _SENSITIVE:
            yield Form(f"row-wise int8 with the most sensitive {share:.0%} of the products in fp32", _with(share))
    else:
        bits = int(variant[1:])
        for block in (32, 16):
            yield Form(f"{bits}-bit weights in blocks of {block}", _blocks(bits, block))


def _fp16(ground: Ground) -> ir.Model:
    graph = own_copy(ground.model)
    if not half.fp16(graph):
        raise ExportError("fp16: the graph has no product of token vectors that could be halved")
    return graph


def _with(share: float) -> Callable[[Ground], ir.Model]:
    return lambda ground: _int8(ground, share)


def _int8(ground: Ground, share: float) -> ir.Model:
    keep = ground.sensitive()[: max(1, round(share * len(ground.sensitive())))] if share else ()
    graph = own_copy(ground.model)
    if not quantize.rowwise_int8(graph, ground.statistics(), keep=keep):
        raise ExportError("int8: the graph has no product of token vectors with a weight to quantise")
    return graph


def _blocks(bits: int, block: int) -> Callable[[Ground], ir.Model]:
    def build(ground: Ground) -> ir.Model:
        graph = own_copy(ground.model)
        moments = {name: found.moment() for name, found in ground.statistics().items()}
        if not blockwise.block_weights(graph, bits=bits, block=block, moments=moments):
            raise ExportError(f"w{bits}: the graph has no product of token vectors with a weight to quantise")
        return graph

    return build
