"""From fp32 to static int8 of convolutions over pictures (QLinearConv).

Weights are signed with one scale per output channel; what a convolution reads and makes is unsigned, with one scale and zero
point each, from the least and the greatest number on a sample. A number of its output depends on the numbers below it alone, and
is a sum of integers: vectors are the same bytes in any batch. (Scales that are measured on each input, ConvInteger's, are those
of a whole batch.)

The loss is in the weights of the first layers. Two things are done about it, which cost nothing at run time: weights are rounded
so that the output changes least (see `gptq`, on the parts of the picture that a kernel meets), and what is left of the mean goes
into the bias. Where that is not enough, the first convolutions stay in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from embedkit_export.graphs.ir_tools import constant, initializer, named_outputs, remove_unused, replace
from embedkit_export.tensors import Feed, Floats

from .calibration.sessions import open_session
from .gptq import Int8, OutputRounding, column_scale

PLACES = 64
"""Of each item and convolution: as many places are kept of what the kernel meets."""
_MOMENT_BYTES = 1 << 30
"""Most memory for second moments; the weights of convolutions met after that go to their nearest steps."""
_DAMPING = 0.01
_LEAST_STEP = np.float32(1e-8)


@dataclass(frozen=True)
class Convolution:
    """A Conv of (batch, channels, height, width) with a constant weight (out, channels / groups, kernel, kernel)."""

    node: ir.Node
    source: ir.Value
    weight: Floats
    bias: Floats | None
    groups: int
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        """The name of the value it makes."""
        return str(self.node.outputs[0].name)

    @property
    def end(self) -> ir.Node:
        """The node behind it whose function the range of the output has already (Relu, Clip), or the convolution itself."""
        uses = list(self.node.outputs[0].uses())
        after = uses[0][0] if len(uses) == 1 and not self.node.outputs[0].is_graph_output() else None
        bounded = after is not None and (
            after.op_type == "Relu"
            or (after.op_type == "Clip" and all(v is None or constant(v) is not None for v in after.inputs[1:]))
        )
        return after if after is not None and bounded else self.node

    @property
    def work(self) -> int:
        """Products of two numbers for one item; 0 where the size of its output is not known."""
        shape = self.node.outputs[0].shape
        sides = list(shape)[2:] if shape is not None else []
        if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
            return 0
        return math.prod(side for side in sides if isinstance(side, int)) * int(self.weight.size)

    def met(self, values: Floats, places: npt.NDArray[np.intp]) -> Floats:
        """(groups, places, channels / groups * kernel * kernel): what the kernel meets at some places of (1, channels, height,
        width), numbered row by row over the output."""
        top, left, bottom, right = self.pads
        padded = np.pad(values[0], ((0, 0), (top, bottom), (left, right)))
        kernel, (down, across) = self.weight.shape[2:], self.dilations
        width = (padded.shape[2] - across * (kernel[1] - 1) - 1) // self.strides[1] + 1
        rows = (places // width * self.strides[0])[:, None, None] + (np.arange(kernel[0]) * down)[None, :, None]
        columns = (places % width * self.strides[1])[:, None, None] + (np.arange(kernel[1]) * across)[None, None, :]
        seen = padded[:, rows, columns]  # (channels, places, kernel, kernel)
        grouped = seen.reshape(self.groups, -1, *seen.shape[1:]).transpose(0, 2, 1, 3, 4)
        return np.ascontiguousarray(grouped.reshape(self.groups, len(places), -1))

    def columns(self) -> Floats:
        """(groups, channels / groups * kernel * kernel, out / groups)."""
        out = self.weight.reshape(self.groups, -1, int(np.prod(self.weight.shape[1:])))
        return np.ascontiguousarray(out.transpose(0, 2, 1))


def convolutions(model: ir.Model) -> list[Convolution]:
    """The convolutions over pictures that make more than one place, those nearest to the pixels first."""
    found = []
    for node in model.graph:
        weight = constant(node.inputs[1]) if node.op_type == "Conv" and node.domain == "" else None
        source = node.inputs[0] if weight is not None else None
        if weight is None or source is None or weight.ndim != 4 or weight.dtype != np.float32:
            continue
        shape = node.outputs[0].shape
        single = shape is not None and list(shape)[2:] == [1, 1]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        auto = node.attributes.get("auto_pad")
        if single or (bias is not None and constant(bias) is None) or (auto and auto.as_string() != "NOTSET"):
            continue
        given = {
            name: tuple(value.as_ints())
            for name in ("strides", "dilations", "pads")
            if (value := node.attributes.get(name))
        }
        groups = node.attributes.get("group")
        found.append(
            Convolution(
                node,
                source,
                weight,
                constant(bias),
                groups.as_int() if groups is not None else 1,
                given.get("strides", (1, 1)),  # type: ignore[arg-type]
                given.get("dilations", (1, 1)),  # type: ignore[arg-type]
                given.get("pads", (0, 0, 0, 0)),  # type: ignore[arg-type]
            )
        )
    return found


@dataclass(frozen=True)
class Scale:
    """The step of unsigned 8-bit numbers, and the one that stands for 0."""

    step: np.float32
    zero: np.uint8

    @classmethod
    def of(cls, low: float, high: float) -> Scale:
        """That reaches from ``low`` to ``high``, and has 0 exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = np.maximum(np.float32((high - low) / 255), _LEAST_STEP)
        return cls(step, np.uint8(np.clip(np.rint(-low / step), 0, 255)))


@dataclass(frozen=True)
class Choice:
    """How one convolution is quantised."""

    reads: Scale
    makes: Scale
    weight: Int8
    scale: Floats
    bias: npt.NDArray[np.int32]


def choose(model: ir.Model, feeds: Sequence[Feed]) -> dict[str, Choice]:
    """The choice for each convolution, by its name; each feed holds all graph inputs by name, for one item."""
    found = convolutions(model)
    if not found or not feeds:
        return {}
    reads = [str(one.source.name) for one in found]
    makes = [str(one.end.outputs[0].name) for one in found]
    names = list(dict.fromkeys([*reads, *makes]))
    inputs = {str(value.name) for value in model.graph.inputs}
    session = open_session(model, [name for name in names if name not in inputs], feeds)
    ranges = dict.fromkeys(names, (np.inf, -np.inf))
    seen = _seen(found)
    rng = np.random.default_rng(0)
    asked = [name for name in names if name not in inputs]
    for feed in feeds:
        values = dict(zip(asked, session.run(asked, dict(feed)), strict=True)) | {
            name: feed[name] for name in names if name in inputs
        }
        for name, value in values.items():
            low, high = ranges[name]
            ranges[name] = min(low, float(value.min())), max(high, float(value.max()))
        for one, moments in zip(found, seen, strict=True):
            moments.add(one, np.asarray(values[str(one.source.name)], np.float32), rng)
    return {
        one.name: _chosen(one, moments, Scale.of(*ranges[read]), Scale.of(*ranges[make]))
        for one, moments, read, make in zip(found, seen, reads, makes, strict=True)
    }


def static_int8(model: ir.Model, choices: Mapping[str, Choice], *, keep: Collection[str] = ()) -> int:
    """Quantise the convolutions of ``model`` in place as `choose` (of the same model) says; how many. Those named in ``keep`` stay
    as they are."""
    done = 0
    with named_outputs(model):
        for one in convolutions(model):
            if one.name in choices and one.name not in keep:
                _rewrite(model.graph, one, choices[one.name])
                done += 1
        remove_unused(model)
    return done


def are_most(model: ir.Model) -> bool:
    """Whether convolutions are at least half of a graph's work, the rest being products with weights."""
    own = sum(one.work for one in convolutions(model))
    others = 0
    for node in model.graph:
        weight = constant(node.inputs[1]) if node.op_type in ("MatMul", "Gemm") else None
        shape = node.outputs[0].shape if weight is not None else None
        if weight is not None and shape is not None:
            rows = [dim for dim in list(shape)[:-1] if isinstance(dim, int)]
            others += int(np.prod(rows)) * weight.size
    return own > others


class _Moments:
    """Means and second moments of what a kernel meets, by group."""

    def __init__(self, size: tuple[int, int], *, whole: bool) -> None:
        groups, width = size
        self.count = 0
        self.mean = np.zeros((groups, width), np.float64)
        self.second = np.zeros((groups, width, width), np.float32) if whole else None

    def add(self, one: Convolution, values: Floats, rng: np.random.Generator) -> None:
        shape = one.node.outputs[0].shape
        sides = [int(side) for side in list(shape)[2:] if isinstance(side, int)] if shape is not None else []
        total = sides[0] * sides[1] if len(sides) == 2 else _places(one, values)
        places = np.sort(rng.permutation(total)[:PLACES]).astype(np.intp)
        met = one.met(values, places)
        self.count += len(places)
        self.mean += met.sum(axis=1, dtype=np.float64)
        if self.second is not None:
            self.second += np.matmul(met.transpose(0, 2, 1), met)


def _places(one: Convolution, values: Floats) -> int:
    """Places of a convolution's output."""
    sides = []
    for axis in (0, 1):
        padded = values.shape[2 + axis] + one.pads[axis] + one.pads[2 + axis]
        sides.append((padded - one.dilations[axis] * (one.weight.shape[2 + axis] - 1) - 1) // one.strides[axis] + 1)
    return int(sides[0] * sides[1])


def _seen(found: Sequence[Convolution]) -> list[_Moments]:
    room, made = _MOMENT_BYTES, []
    for one in found:
        width = int(np.prod(one.weight.shape[1:]))
        size = 4 * one.groups * width**2
        made.append(_Moments((one.groups, width), whole=size <= room))
        room -= size if size <= room else 0
    return made


def _chosen(one: Convolution, moments: _Moments, reads: Scale, makes: Scale) -> Choice:
    columns = one.columns()
    scale = np.stack([column_scale(group) for group in columns])  # (groups, out / groups)
    numbers: Int8
    if moments.second is None:
        numbers = np.clip(np.rint(columns / scale[:, None]), -127, 127).astype(np.int8)
    elif one.groups == 1:
        numbers = OutputRounding(moments.second[0] / np.float32(moments.count))(columns[0])[0][None]
    else:
        numbers = _rounded(moments.second / np.float32(moments.count), columns, scale)
    left = columns - numbers * scale[:, None]
    mean = moments.mean / max(1, moments.count)
    shift = np.einsum("gk,gkn->gn", mean, left).reshape(-1)
    bias = (one.bias if one.bias is not None else 0.0) + shift
    flat = scale.reshape(-1).astype(np.float32)
    steps = bias / (flat.astype(np.float64) * float(reads.step))
    weight = np.ascontiguousarray(numbers.transpose(0, 2, 1)).reshape(one.weight.shape)
    limit = float((1 << 31) - 1)
    return Choice(reads, makes, weight, flat, np.clip(np.rint(steps), -limit, limit).astype(np.int32))


def _rounded(second: Floats, columns: Floats, scale: Floats) -> Int8:
    """`OutputRounding` of many small groups at once: (groups, k, k) moments and (groups, k, n) weights -> int8 weights."""
    groups, k, _ = columns.shape
    wide = second.astype(np.float64)
    level = np.trace(wide, axis1=1, axis2=2) / k
    wide += (np.where(level > 0, _DAMPING * level, 1.0)[:, None, None]) * np.eye(k)
    factor = np.linalg.cholesky(np.linalg.inv(wide)).transpose(0, 2, 1)  # upper: inverse = U^T U
    rest, out = columns.astype(np.float64).copy(), np.empty((groups, k, columns.shape[2]), np.int8)
    for i in range(k):
        steps = np.clip(np.rint(rest[:, i] / scale), -127, 127)
        out[:, i] = steps
        left = (rest[:, i] - steps * scale) / factor[:, i, i, None]
        rest[:, i + 1 :] -= factor[:, i, i + 1 :, None] * left[:, None, :]
    return out


def _rewrite(graph: ir.Graph, one: Convolution, choice: Choice) -> None:
    node, last = one.node, one.end

    def const(name: str, array: Any) -> ir.Value:
        return initializer(graph, f"q/{one.name}/{name}", np.asarray(array))

    def op(kind: str, inputs: list[ir.Value], name: str, attributes: Mapping[str, Any] | None = None) -> ir.Value:
        made = ir.node(kind, inputs, dict(attributes or {}), name=f"q/{one.name}/{name}/{kind}")
        graph.insert_before(node, made)
        made.outputs[0].name = f"q/{one.name}/{name}"
        return made.outputs[0]

    reads = [const("reads", choice.reads.step), const("zero", choice.reads.zero)]
    makes = [const("makes", choice.makes.step), const("makes_zero", choice.makes.zero)]
    source = node.inputs[0]
    assert source is not None
    before = source.producer()
    if before is not None and before.op_type == "DequantizeLinear" and _same(before, choice.reads):
        whole = before.inputs[0]
        assert whole is not None
    else:
        whole = op("QuantizeLinear", [source, *reads], "read")
    weight = [
        const("weight", choice.weight),
        const("scale", choice.scale),
        const("weight_zero", np.zeros(len(choice.scale), np.int8)),
    ]
    kept = {
        name: node.attributes[name] for name in ("strides", "dilations", "pads", "group") if name in node.attributes
    }
    made = ir.node(
        "QLinearConv", [whole, *reads, *weight, *makes, const("bias", choice.bias)], name=f"q/{one.name}/QLinearConv"
    )
    made.attributes.update(kept)
    graph.insert_before(node, made)
    made.outputs[0].name = f"q/{one.name}/numbers"
    out = op("DequantizeLinear", [made.outputs[0], *makes], "out")
    out.shape, out.type = last.outputs[0].shape, last.outputs[0].type
    replace(last.outputs[0], out)


def _same(node: ir.Node, scale: Scale) -> bool:
    """Whether what was made dequantised has this scale: then the next convolution reads its numbers as they are."""
    step, zero = constant(node.inputs[1]), constant(node.inputs[2])
    return step is not None and zero is not None and step.item() == scale.step and zero.item() == scale.zero
