"""From fp32 to row-wise dynamic int8.

Every product of token vectors with a weight becomes an 8-bit product: weights are signed with one scale per output
channel, activations are unsigned with one scale per token row. A row's scale depends on that row alone, so a vector
does not depend on what shares its batch, and one token with large values does not coarsen the others. Only stock
onnxruntime operators are used.

Refinements that take no time at run time, or next to none:

* smoothing: each input channel is divided by max|x|^a / max|w|^(1-a), and the weight's row multiplied by it, so that
  channels with rare large values cost the others no resolution; max|x| is measured on a sample of texts, and a is
  chosen by the error that is left in the products' output there;
* splitting: a channel that is huge in a few tokens is read several times, each time by a part (see `split`);
* what comes out of GELU is never below -0.17: with a zero point of about 20 instead of 128 nearly twice the steps are
  left for the positive side;
* weights are rounded so that the product's output changes least (see `rounding`).

The table of tokens, most of a small model's file, becomes signed 8-bit rows too, each with a scale of its own: a row is
taken first and made float32 then, so that the table is never whole in memory as float32.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from embedkit_export.graphs.ir_tools import (
    MICROSOFT,
    constant,
    initializer,
    named_outputs,
    own_copy,
    remove_unused,
    replace,
)
from embedkit_export.tensors import Feed, Floats

from .activations import ActivationQuantizer, choose_reading
from .calibration import statistics as measures
from .calibration.sessions import open_session
from .calibration.statistics import Statistics
from .gptq import Int8, OutputRounding, nearest
from .products import Product, products

HARDEST = 12
"""Texts on which the sensitivity of the products is measured."""
SMALLEST_TABLE = 1 << 18
"""Numbers in a table from which its size matters: those of positions are smaller."""


def calibrate(model: ir.Model, feeds: Sequence[Feed]) -> Iterator[tuple[str, Statistics]]:
    """(name, `Statistics`) of each quantisable product's input, one after the other. Each feed holds all graph inputs by name, for
    one text without padding."""
    return measures.calibrate(model, feeds, read(model))


def read(model: ir.Model) -> dict[str, int]:
    """The names of the quantisable products' inputs, and how many numbers a row of each has."""
    return {name: len(group[0].weight) for name, group in _groups(model).items()}


@dataclass(frozen=True)
class Choice:
    """How the products that read one value are quantised."""

    reading: ActivationQuantizer
    weights: Mapping[str, tuple[Int8, Floats]]
    """By the product's name: int8 (k + e, n) and (n,) float32 scales."""


def choose(model: ir.Model, statistics: Iterable[tuple[str, Statistics]] = ()) -> dict[str, Choice]:
    """The choice for each quantisable product's input, by value name.

    ``statistics`` are taken one after the other (of `calibrate`). An input without any is not smoothed and its weights go to their
    nearest steps.
    """
    groups, out = _groups(model), {}

    def chosen(name: str, known: Statistics | None) -> Choice:
        group = groups.pop(name)
        made = group[0].source.producer()
        weights = [product.weight for product in group]
        reading = choose_reading(known, weights, made.op_type if made is not None else None)
        rounded = _round([reading.weight(weight) for weight in weights], known, reading)
        return Choice(reading, {product.name: found for product, found in zip(group, rounded, strict=True)})

    for name, known in statistics:
        out[name] = chosen(name, known)
    for name in list(groups):
        out[name] = chosen(name, None)
    return out


def rowwise_int8(model: ir.Model, choices: Mapping[str, Choice] | None = None, *, keep: Collection[str] = ()) -> int:
    """Quantise ``model`` in place as `choose` (of the same model) says; the number of products. The products named in
    ``keep`` (by the value they make) stay as they are."""
    if choices is None:
        choices = choose(model)
    rewrite = _Rewrite(model.graph)
    done = 0
    with named_outputs(model):
        for name, group in _groups(model, keep).items():
            rewrite.quantise(group, choices[name])
            done += len(group)
        model.opset_imports[MICROSOFT] = 1
        remove_unused(model)
    return done


def rowwise_tables(model: ir.Model) -> int:
    """Make the large tables of ``model`` int8 in place, with a scale for each row; the number of tables. One that something
    else than a Gather reads stays as it is, for it would be there twice."""
    graph, done = model.graph, 0
    for value, table, readers in _tables(model):
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, np.float32(1e-12)).astype(np.float32)
        numbers = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
        for node in readers:
            parts = []
            for part, array in (("int8", numbers), ("scale", scale)):
                rows = initializer(graph, f"q/{value.name}/{part}", array)
                gather = ir.node("Gather", [rows, node.inputs[1]], name=f"{node.name}/{part}/Gather")
                gather.outputs[0].name, gather.outputs[0].type = f"{node.outputs[0].name}.{part}", rows.type
                parts.append(gather)
            wide = ir.node("Cast", [parts[0].outputs[0]], {"to": ir.DataType.FLOAT}, name=f"{node.name}/Cast")
            wide.outputs[0].name = f"{node.outputs[0].name}.wide"
            whole = ir.node("Mul", [wide.outputs[0], parts[1].outputs[0]], name=f"{node.name}/Mul")
            whole.outputs[0].name = f"{node.outputs[0].name}.rows"
            whole.outputs[0].shape, whole.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
            graph.insert_before(node, [*parts, wide, whole])
            replace(node.outputs[0], whole.outputs[0])
        done += 1
    remove_unused(model)
    return done


def has_tables(model: ir.Model) -> bool:
    """Whether `rowwise_tables` has something to do."""
    return bool(_tables(model))


def _tables(model: ir.Model) -> list[tuple[ir.Value, Floats, list[ir.Node]]]:
    """The large tables of rows that are taken by number, with what takes them."""
    found = []
    for value in model.graph.initializers.values():
        shape = value.shape
        if shape is None or shape.rank() != 2 or value.dtype != ir.DataType.FLOAT:
            continue
        readers = [node for node, place in value.uses() if place == 0 and _takes_rows(node)]
        table = constant(value)
        if readers and len(readers) == len(list(value.uses())) and table is not None and table.size >= SMALLEST_TABLE:
            found.append((value, table, readers))
    return found


def _takes_rows(node: ir.Node) -> bool:
    axis = node.attributes.get("axis")
    return node.op_type == "Gather" and node.domain == "" and (axis is None or axis.as_int() == 0)


def sensitivity(model: ir.Model, feeds: Sequence[Feed], choices: Mapping[str, Choice]) -> list[tuple[str, float]]:
    """(name, gain) of each product, the largest gain first: how much of the squared relative error of the graph's first
    output is saved, for each million weights, when the products that read the same input stay in fp32 and all others
    are quantised. ``model`` is left as it was.

    It is the mean over those `HARDEST` of the ``feeds`` where the whole int8 graph errs most: a small error can
    tip a token over, and only together with the errors of the other products.
    """

    def errors(keep: Collection[str], which: Sequence[int]) -> list[float]:
        copied = own_copy(model)
        rowwise_int8(copied, choices, keep=keep)
        session = open_session(copied, feeds=feeds)
        output = str(copied.graph.outputs[0].name)
        return [_relative(session.run([output], dict(feeds[i]))[0], exact[i]) for i in which]

    session = open_session(model, feeds=feeds)
    output = str(model.graph.outputs[0].name)
    exact = [session.run([output], dict(feed))[0] for feed in feeds]
    del session
    whole = errors((), range(len(feeds)))
    hardest = sorted(range(len(feeds)), key=lambda i: -whole[i])[:HARDEST]
    before = float(np.mean([whole[i] for i in hardest]))
    gains: list[tuple[str, float]] = []
    for group in _groups(model).values():
        names = [product.name for product in group]
        millions = sum(product.weight.size for product in group) / 1e6
        saved = before - float(np.mean(errors(names, hardest)))
        gains.extend((name, saved / millions) for name in names)
    return sorted(gains, key=lambda item: -item[1])


def _relative(found: npt.NDArray[Any], exact: npt.NDArray[Any]) -> float:
    return float(np.square(found - exact).sum() / max(float(np.square(exact).sum()), 1e-30))


def _groups(model: ir.Model, keep: Collection[str] = ()) -> dict[str, list[Product]]:
    """The products to quantise by the name of their input."""
    groups: dict[str, list[Product]] = {}
    for product in products(model):
        if product.name not in keep:
            groups.setdefault(str(product.source.name), []).append(product)
    return groups


class _Rewrite:
    """Puts the quantised form before the first product of a group and lets each product read it."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.at: ir.Node
        self.prefix = ""
        self.shared: dict[tuple[Any, ...], ir.Value] = {}

    def op(self, kind: str, inputs: list[ir.Value], suffix: str, domain: str = "", **attributes: Any) -> ir.Value:
        node = ir.node(kind, inputs, attributes, domain=domain, name=f"{self.prefix}/{suffix}/{kind}")
        self.graph.insert_before(self.at, node)
        node.outputs[0].name = f"{self.prefix}/{suffix}"
        return node.outputs[0]

    def const(self, name: str, array: npt.NDArray[Any] | np.generic) -> ir.Value:
        return initializer(self.graph, f"q/{name}", np.asarray(array))

    def quantise(self, group: list[Product], choice: Choice) -> None:
        first, reading = group[0], choice.reading
        source, width = first.source, first.weight.shape[0]
        self.at, self.prefix = first.node, f"q/{source.name}"
        x = source
        if source.shape is not None and source.shape.rank() >= 3:
            x = self.op("Reshape", [x, self.const(f"rows{width}", np.array([-1, width]))], "rows")
        if reading.copies is not None:
            again = self.op("Gather", [x, self.const(f"{source.name}/copies", reading.copies)], "again", axis=1)
            x = self.op("Concat", [x, again], "copied", axis=1)
        if reading.factors is not None:
            inverse = (1 / reading.factors).astype(np.float32)
            x = self.op("Mul", [x, self.const(f"{source.name}/inverse", inverse)], "smoothed")
        scale, zero = self._scale(x, reading), reading.zero
        steps = self.op("Squeeze", [scale, self.const("axis1", np.array([1]))], "steps")
        points = self._zero_points(source, steps, zero)
        read = (self.op("QuantizeLinear", [x, steps, points], "q", axis=0), scale, self._zero(zero))
        for product in group:
            self._product(product, *choice.weights[product.name], read)

    def _zero(self, zero: int) -> ir.Value:
        return self.const(f"zero{zero}", np.array(zero, np.uint8))

    def _zero_points(self, source: ir.Value, steps: ir.Value, zero: int) -> ir.Value:
        """(rows,) uint8, once for all values of as many rows."""
        key = ("zero", zero, *_leading(source))
        if key not in self.shared:
            one = self.const(f"zero{zero}x1", np.array([zero], np.uint8))
            self.shared[key] = self.op("Expand", [one, self.op("Shape", [steps], "count")], "zero_points")
        return self.shared[key]

    def _shape(self, source: ir.Value, width: int) -> ir.Value:
        """(rank,) int64: all of ``source``'s shape but the last, and ``width``; once for all values of that shape."""
        lead, whole = ("lead", *_leading(source)), ("shape", width, *_leading(source))
        if lead not in self.shared:
            self.shared[lead] = self.op("Shape", [source], "lead", start=0, end=-1)
        if whole not in self.shared:
            last = self.const(f"width{width}", np.array([width]))
            self.shared[whole] = self.op("Concat", [self.shared[lead], last], "shape", axis=0)
        return self.shared[whole]

    def _scale(self, rows: ir.Value, reading: ActivationQuantizer) -> ir.Value:
        """(rows, 1) float32: `ActivationQuantizer.steps`."""
        last = self.const("last", np.array([-1]))
        peak = self.op("ReduceMax", [rows, last], "highest", keepdims=1)
        if reading.lowest is None:
            # Two reductions read the rows twice; Abs and one reduction would also write them.
            depth = self.op("Neg", [self.op("ReduceMin", [rows, last], "lowest", keepdims=1)], "depth")
            # The least step is so small here that it may as well be taken of the peak.
            peak = self.op("Max", [peak, depth, self.const("least", np.float32(reading.least * reading.top))], "peak")
        wide = self.op("Mul", [peak, self.const(f"1/{reading.top}", np.float32(1 / reading.top))], "wide")
        if reading.lowest is None:
            return wide
        return self.op("Max", [wide, self.const(f"least{reading.least:g}", np.float32(reading.least))], "scale")

    def _product(
        self, product: Product, numbers: Int8, number_scale: Floats, read: tuple[ir.Value, ir.Value, ir.Value]
    ) -> None:
        """``read`` is the rows as uint8, the scale of each, and the zero point."""
        node, source = product.node, product.source
        name = str(node.inputs[1].name)  # type: ignore[union-attr]
        self.at, self.prefix = node, f"q/{product.name}"
        q, scale, zero = read
        inputs = [q, self.const(f"{name}/int8", numbers), scale, self.const(f"{name}/scale", number_scale), zero]
        out = self.op("MatMulIntegerToFloat", inputs, "rows", domain=MICROSOFT)
        if source.shape is not None and source.shape.rank() >= 3:
            out.shape, out.type = ir.Shape([None, numbers.shape[1]]), node.outputs[0].type
            out = self.op("Reshape", [out, self._shape(source, numbers.shape[1])], "out")
        out.shape, out.type = node.outputs[0].shape, node.outputs[0].type
        replace(node.outputs[0], out)


def _leading(value: ir.Value) -> tuple[Any, ...]:
    """All but the last of a value's dimensions, as what makes two values have as many rows; a dimension without a name
    is like no other."""
    assert value.shape is not None
    dims = list(value.shape)[:-1]
    return tuple(dim if isinstance(dim, int) else (str(value.name) if dim.value is None else dim.value) for dim in dims)


def _round(
    weights: Sequence[Floats], statistics: Statistics | None, reading: ActivationQuantizer
) -> list[tuple[Int8, Floats]]:
    """int8 weights (k + e, n) and their scales (n,), of smoothed weights."""
    if statistics is None:
        return [nearest(weight) for weight in weights]
    rounding = OutputRounding(reading.moment(statistics.moment()))
    return [rounding(weight) for weight in weights]
