"""From fp32 to row-wise dynamic int8.

Every product of token vectors with a weight becomes an 8-bit product: weights are signed with one scale per output
channel, activations are unsigned with one scale per token row. A row's scale depends on that row alone, so a vector
does not depend on what shares its batch, and one token with large values does not coarsen the others. Only stock
onnxruntime operators are used.

Two refinements take no time at run time:

* smoothing: each input channel is divided by max|x|^a / max|w|^(1-a), and the weight's row multiplied by it, so that
  channels with rare large values cost the others no resolution (SmoothQuant, Xiao et al. 2023, with a = 0.7); max|x|
  is measured on a sample of texts;
* what comes out of GELU is never below -0.17: with zero point 16 instead of 128 nearly twice the steps are left for
  the positive side (such an input is not smoothed: that would move the bound differently in each channel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .capture import INPUTS
from .fuse import MICROSOFT, constant, initializer, remove_unused, replace

ALPHA = 0.7
_GELU = ("Gelu", "BiasGelu", "FastGelu")
_GELU_MINIMUM, _GELU_ZERO_POINT = 0.17, 16

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """A MatMul of token vectors (batch, tokens, k) with a weight (k, n)."""

    node: ir.Node
    source: ir.Value
    weight: Floats


def products(model: ir.Model) -> list[Product]:
    """The products that can be quantised: a two-dimensional weight on the right of a (batch, tokens, k) value."""
    found = []
    tokens = model.graph.inputs[0].shape
    assert tokens is not None
    for node in model.graph:
        weight = constant(node.inputs[1]) if node.op_type == "MatMul" else None
        source = node.inputs[0] if weight is not None else None
        if weight is None or source is None or weight.ndim != 2 or weight.dtype != np.float32 or source.shape is None:
            continue
        if source.shape.rank() == 3 and not isinstance(source.shape[1], int):
            found.append(Product(node, source, weight))
    return found


def channel_peaks(model: ir.Model, samples: Sequence[npt.NDArray[np.int64]]) -> dict[str, Floats]:
    """max|x| of each channel of each quantisable product's input over the samples (token ids, one text each), by
    value name."""
    import onnxruntime as ort

    tapped = ir.from_proto(ir.to_proto(model))
    by_name = {value.name: value for node in tapped.graph for value in node.outputs}
    names = list(dict.fromkeys(str(product.source.name) for product in products(model)))
    outputs = len(tapped.graph.outputs)
    for name in names:
        tapped.graph.outputs.append(by_name[name])
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(ir.to_proto(tapped).SerializeToString(), options, providers=["CPUExecutionProvider"])
    peaks: dict[str, Floats] = {}
    for ids in samples:
        row = ids[None, :]
        values = session.run(None, dict(zip(INPUTS, (row, np.ones_like(row)), strict=True)))[outputs:]
        for name, value in zip(names, values, strict=True):
            peak = np.abs(value).max(axis=(0, 1))
            peaks[name] = np.maximum(peaks[name], peak) if name in peaks else peak
    return peaks


def rowwise_int8(model: ir.Model, peaks: dict[str, Floats]) -> int:
    """Quantise ``model`` in place; the number of products. Without an entry in ``peaks`` a product is not
    smoothed."""
    graph = model.graph
    by_source: dict[str, list[Product]] = {}
    for product in products(model):
        by_source.setdefault(str(product.source.name), []).append(product)
    rewrite = _Rewrite(graph)
    for name, group in by_source.items():
        rewrite.quantise(group, peaks.get(name))
    model.opset_imports[MICROSOFT] = 1
    remove_unused(model)
    return sum(len(group) for group in by_source.values())


def smoothing(peak: Floats, weights: Sequence[Floats], alpha: float = ALPHA) -> Floats:
    """(k,) factors by which input channels are divided and weight rows multiplied, of geometric mean 1."""
    widest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    factors = np.maximum(peak, 1e-5) ** alpha / np.maximum(widest, 1e-5) ** (1 - alpha)
    out: Floats = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return out


def quantise_weight(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """(k, n) float32 -> int8 of the same shape and (n,) float32 scales, one for each output channel."""
    scale = np.maximum(np.abs(weight).max(axis=0) / 127, np.float32(1e-12)).astype(np.float32)
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale


class _Rewrite:
    """Puts the quantised form before the first product of a group and lets each product read it."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.at: ir.Node
        self.prefix = ""
        self.lead: ir.Value | None = None

    def op(self, kind: str, inputs: list[ir.Value], suffix: str, domain: str = "", **attributes: Any) -> ir.Value:
        node = ir.node(kind, inputs, attributes, domain=domain, name=f"{self.prefix}/{suffix}/{kind}")
        self.graph.insert_before(self.at, node)
        node.outputs[0].name = f"{self.prefix}/{suffix}"
        return node.outputs[0]

    def const(self, name: str, array: npt.NDArray[Any] | np.generic) -> ir.Value:
        return initializer(self.graph, f"q/{name}", np.asarray(array))

    def quantise(self, group: list[Product], peak: Floats | None) -> None:
        first = group[0]
        source, width = first.source, first.weight.shape[0]
        self.at, self.prefix = first.node, f"q/{source.name}"
        made = source.producer()
        after_gelu = made is not None and made.op_type in _GELU
        smooth = None if peak is None or after_gelu else smoothing(peak, [product.weight for product in group])
        x = source
        if smooth is not None:
            x = self.op("Mul", [x, self.const(f"{source.name}/inverse", (1 / smooth).astype(np.float32))], "smoothed")
        rows = self.op("Reshape", [x, self.const(f"rows{width}", np.array([-1, width]))], "rows")
        scale, zero = self._scale(rows, after_gelu)
        flat = self.op("Squeeze", [scale, self.const("axis1", np.array([1]))], "flat_scale")
        points = self.op(
            "Expand",
            [self.const(f"zero{zero}x1", np.array([zero], np.uint8)), self.op("Shape", [flat], "count")],
            "zero_points",
        )
        q = self.op("QuantizeLinear", [rows, flat, points], "q", axis=0)
        for product in group:
            self._product(product, smooth, q, scale, self.const(f"zero{zero}", np.array(zero, np.uint8)))

    def _scale(self, rows: ir.Value, after_gelu: bool) -> tuple[ir.Value, int]:
        """The (rows, 1) scale and the zero point."""
        last = self.const("last", np.array([-1]))
        if after_gelu:
            top = self.op("ReduceMax", [rows, last], "top", keepdims=1)
            wide = self.op("Mul", [top, self.const("1/239", np.float32(1 / (255 - _GELU_ZERO_POINT)))], "wide")
            least = self.const("least_gelu", np.float32(_GELU_MINIMUM / _GELU_ZERO_POINT))
            return self.op("Max", [wide, least], "scale"), _GELU_ZERO_POINT
        peak = self.op("ReduceMax", [self.op("Abs", [rows], "abs"), last], "top", keepdims=1)
        least = self.const("least", np.float32(1e-10))  # a row of zeros has no scale of its own
        return self.op(
            "Max", [self.op("Mul", [peak, self.const("1/127", np.float32(1 / 127))], "wide"), least], "scale"
        ), 128

    def _product(self, product: Product, smooth: Floats | None, q: ir.Value, scale: ir.Value, zero: ir.Value) -> None:
        node = product.node
        name = str(node.inputs[1].name)  # type: ignore[union-attr]
        weight, weight_scale = quantise_weight(product.weight if smooth is None else product.weight * smooth[:, None])
        self.at, self.prefix = node, f"q/{node.outputs[0].name}"
        y = self.op(
            "MatMulIntegerToFloat",
            [q, self.const(f"{name}/int8", weight), scale, self.const(f"{name}/scale", weight_scale), zero],
            "rows",
            domain=MICROSOFT,
        )
        lead = self._leading()
        shape = self.op(
            "Concat", [lead, self.const(f"width{weight.shape[1]}", np.array([weight.shape[1]]))], "shape", axis=0
        )
        out = self.op("Reshape", [y, shape], "out")
        out.shape, out.type = node.outputs[0].shape, node.outputs[0].type
        replace(node.outputs[0], out)

    def _leading(self) -> ir.Value:
        """The (batch, tokens) part of the shape, taken once: it is the same for every product."""
        if self.lead is None:
            graph_input = self.graph.inputs[0]
            node = ir.node("Shape", [graph_input], {"start": 0, "end": 2}, name="q/lead/Shape")
            node.outputs[0].name = "q/lead"
            self.graph.insert_before(self.graph[0], node)
            self.lead = node.outputs[0]
        return self.lead
