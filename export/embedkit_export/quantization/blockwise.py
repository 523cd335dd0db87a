"""From fp32 to 4 or 8 bits a weight: small files; activations stay fp32.

Each block of 32 input channels of a weight has its own scale and zero point. They come from a search for the least
squared error, and are stored as float16. Where the second moments of a product's input are known, weights are rounded
one input channel after another, and the channels that follow make good the error made so far (GPTQ, Frantar et al.
2023, https://arxiv.org/abs/2210.17323): at 4 bits that removes two thirds of the error of rounding to nearest.

The products become ``MatMulNBits`` and a 4-bit table of the embedding ``GatherBlockQuantized``, both of com.microsoft;
an 8-bit table stays Gather, with ``DequantizeLinear`` after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from embedkit.errors import InputError
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

from .calibration.sessions import open_session
from .products import Product, products

DAMPING = 0.01
"""What is added to the diagonal of the second moments, as a part of its mean."""
SMALLEST_TABLE = 1 << 16
"""Numbers in a table from which its size matters."""
COARSE_TABLE = 1 << 20
"""Numbers in a table from which it gets ``table_bits``: a smaller one, of positions, saves little and gets 8."""

_SHRINK = {4: (1.0, 0.95, 0.9, 0.85, 0.8), 8: (1.0,)}
"""By how much the range of a block is narrowed in the search: at 4 bits a finer step is worth a clipped outlier."""
_SMALLEST_SCALE = np.float32(2.0**-24)  # the smallest float16
_COLUMNS = 4096  # searched at a time, so that they stay in the cache

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Blocks:
    """A weight w (k, n) in blocks of ``block`` rows: w = (codes - zeros) * scales, with codes (k, n) below 2**bits, and
    scales and zeros (ceil(k / block), n)."""

    codes: Codes
    scales: npt.NDArray[np.float16]
    zeros: Codes
    bits: int
    block: int

    def weight(self) -> Floats:
        """(k, n) float32, the weight that the codes stand for."""
        rows = np.arange(len(self.codes)) // self.block
        out: Floats = (self.codes.astype(np.float32) - self.zeros[rows]) * self.scales[rows].astype(np.float32)
        return out


def block_weights(
    model: ir.Model,
    *,
    bits: int = 4,
    block: int = 32,
    symmetric: bool = False,
    table_bits: int | None = None,
    moments: Iterable[tuple[str, Floats]] = (),
    accuracy_level: int = 4,
    fine: Collection[str] = (),
) -> int:
    """Quantise the weights of ``model`` in place; the number of products and tables.

    Args:
        model: a fused fp32 graph.
        bits: 4 or 8.
        block: input channels that share a scale: a power of two, 16 or more.
        symmetric: without zero points: 1/8 bit a weight less at 4 bits, and coarser.
        table_bits: 4 or 8 for the tokens' table; by default ``bits``.
        moments: the name of each product's input x and the (k, k) mean of x x^T (`calibrate`), taken one after the other; a product
            without is rounded to nearest.
        fine: products, by the value they make, whose weights get 8 bits.
        accuracy_level: how ``MatMulNBits`` multiplies: 1 with fp32 activations, 4 with 8-bit ones in the same blocks.

    Raises `InputError` for bits or a block that the operators do not take.
    """
    for name, value in (("bits", bits), ("table_bits", table_bits or bits)):
        if value not in _SHRINK:
            raise InputError(f"{name}: expected 4 or 8, found {value}")
    if block < 16 or block & (block - 1):
        raise InputError(f"block: expected a power of two from 16 on, found {block}")
    tables = 0
    with named_outputs(model):
        found = products(model)
        for product, factor in _with_factors(found, moments):
            width = 8 if product.name in fine else bits
            blocks = quantise_blocks(product.weight, width, block, symmetric=symmetric, factor=factor)
            _replace_product(model.graph, product, blocks, symmetric, accuracy_level)
        for node in list(model.graph):
            table = _table(node, block)
            if table is not None:
                width = (table_bits or bits) if table.size >= COARSE_TABLE else 8
                blocks = quantise_blocks(table.T, width, block, symmetric=symmetric)
                _replace_table(model.graph, node, blocks)
                tables += 1
        model.opset_imports[MICROSOFT] = 1
        remove_unused(model)
    return len(found) + tables


def _with_factors(
    found: Sequence[Product], moments: Iterable[tuple[str, Floats]]
) -> Iterator[tuple[Product, Floats | None]]:
    """Each product with the `inverse_factor` of its input, of which only one is in memory; those without come last."""
    groups: dict[str, list[Product]] = {}
    for product in found:
        groups.setdefault(str(product.source.name), []).append(product)
    for name, moment in moments:
        factor = inverse_factor(moment)
        yield from ((product, factor) for product in groups.pop(name, ()))
    yield from ((product, None) for group in groups.values() for product in group)


def sensitivity(
    model: ir.Model, feeds: Sequence[Feed], moments: Iterable[tuple[str, Floats]], *, bits: int = 4, block: int = 32
) -> list[tuple[str, float]]:
    """(name, damage) of each product, the worst first: the damage is the mean over ``feeds`` of the squared relative
    change of the graph's first output when that product's weight alone is quantised, per number of the weight, which
    is what more bits for it would cost. ``model`` is left as it was."""
    output = str(model.graph.outputs[0].name)
    exact = _outputs(model, output, feeds)
    damages = []
    for product, factor in _with_factors(products(model), moments):
        blocks = quantise_blocks(product.weight, bits, block, factor=factor)
        copied = own_copy(model)
        same = next(other for other in products(copied) if other.name == product.name)
        _replace_product(copied.graph, same, blocks, False, 4)
        copied.opset_imports[MICROSOFT] = 1
        changed = [
            float(np.square(a - b).sum() / max(float(np.square(b).sum()), 1e-30))
            for a, b in zip(_outputs(copied, str(copied.graph.outputs[0].name), feeds), exact, strict=True)
        ]
        damages.append((product.name, float(np.mean(changed)) / product.weight.size))
    return sorted(damages, key=lambda item: -item[1])


def _outputs(model: ir.Model, name: str, feeds: Sequence[Feed]) -> list[Floats]:
    session = open_session(model, feeds=feeds)
    return [session.run([name], dict(feed))[0] for feed in feeds]


def inverse_factor(moments: Floats) -> Floats:
    """The (k, k) upper triangular U with U^T U = (moments + damping)^-1, which says how an error in one input channel
    is made good by those after it."""
    mean = float(np.diag(moments).mean(dtype=np.float64))
    damped = moments + np.eye(len(moments)) * (DAMPING * mean if mean > 0 else 1.0)
    factor: Floats = np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)
    return factor


def quantise_blocks(
    weight: Floats, bits: int, block: int, *, symmetric: bool = False, factor: Floats | None = None
) -> Blocks:
    """(k, n) float32 -> its blocks, to nearest or, with the ``factor`` of its input, by GPTQ."""
    k, n = weight.shape
    count = -(-k // block)
    codes = np.empty((k, n), np.uint8)
    scales, zeros = np.empty((count, n), np.float16), np.empty((count, n), np.uint8)
    left = np.array(weight, np.float32, order="C") if factor is not None else weight
    for i in range(count):
        rows = slice(i * block, min((i + 1) * block, k))
        group = np.ascontiguousarray(left[rows])
        importance = None if factor is None else (1 / np.diag(factor)[rows, None] ** 2).astype(np.float32)
        for begin in range(0, n, _COLUMNS):
            part = slice(begin, begin + _COLUMNS)
            scales[i, part], zeros[i, part] = _search(group[:, part], bits, symmetric, importance)
        scale, zero = scales[i].astype(np.float32), zeros[i].astype(np.float32)
        if factor is None:
            codes[rows] = _round(group, scale, zero, bits)
            continue
        errors = np.empty_like(group)
        inner = factor[rows, rows]
        for j in range(len(group)):
            code = _round(group[j], scale, zero, bits)
            codes[rows.start + j] = code
            errors[j] = (group[j] - (code - zero) * scale) / inner[j, j]
            group[j + 1 :] -= inner[j, j + 1 :, None] * errors[j]
        left[rows.stop :] -= factor[rows, rows.stop :].T @ errors
    return Blocks(codes, scales, zeros, bits, block)


def pack(codes: Codes, bits: int) -> Codes:
    """(..., m) codes -> (..., ceil(m * bits / 8)) bytes, the first code in the low bits."""
    if bits == 8:
        return codes
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, codes.shape[-1] % 2)])
    return (codes[..., ::2] | codes[..., 1::2] << 4).astype(np.uint8)


def _round(values: Floats, scale: Floats, zero: Floats, bits: int) -> Floats:
    out: Floats = np.clip(np.rint(values / scale) + zero, 0, 2**bits - 1)
    return out


def _search(
    group: Floats, bits: int, symmetric: bool, importance: Floats | None
) -> tuple[npt.NDArray[np.float16], Codes]:
    """The scale and the zero point of each column of (block, n) that give the least squared error, weighted by
    ``importance`` (block, 1)."""
    weighted = group if importance is None else group * importance
    best = np.full(group.shape[1], np.inf, np.float32)
    scales, zeros = np.zeros(group.shape[1], np.float16), np.zeros(group.shape[1], np.uint8)
    for guess, zero in _candidates(group, bits, symmetric):
        steps = _round(group, guess, zero, bits) - zero
        heavy = steps if importance is None else steps * importance
        # The least-squares scale of given steps.
        both, own = np.einsum("kn,kn->n", weighted, steps), np.einsum("kn,kn->n", heavy, steps)
        scale = _as_half(np.where(own > 0, both / np.maximum(own, 1e-30), guess))
        error = scale * (scale * own - 2 * both)
        better = error < best
        best[better], scales[better], zeros[better] = error[better], scale[better], zero[better]
    return scales, zeros


def _candidates(group: Floats, bits: int, symmetric: bool) -> Iterator[tuple[Floats, Floats]]:
    top, half = 2**bits - 1, 2 ** (bits - 1)
    if symmetric:
        # The widest number takes the end of the longer side: a scale may be negative.
        widest = np.take_along_axis(group, np.abs(group).argmax(axis=0)[None], axis=0)[0]
        for shrink, steps in itertools.product(_SHRINK[bits], (-half, half - 1)):
            yield _as_half(widest * np.float32(shrink / steps)), np.full_like(widest, half)
        return
    low, high = np.minimum(group.min(axis=0), 0), np.maximum(group.max(axis=0), 0)
    for below, above in itertools.product(_SHRINK[bits], repeat=2):
        scale = _as_half((high * np.float32(above) - low * np.float32(below)) / np.float32(top))
        yield scale, np.clip(np.rint(-low * np.float32(below) / scale), 0, top)


def _as_half(scale: Floats) -> Floats:
    """Rounded to float16, and never zero."""
    rounded = scale.astype(np.float16).astype(np.float32)
    out: Floats = np.where(rounded == 0, _SMALLEST_SCALE, rounded)
    return out


def _table(node: ir.Node, block: int) -> Floats | None:
    """The table (rows, dim) that ``node`` takes rows of, if it is large and its rows are whole blocks."""
    table = constant(node.inputs[0]) if node.op_type == "Gather" else None
    axis = node.attributes.get("axis")
    if table is None or table.dtype != np.float32 or table.ndim != 2 or (axis is not None and axis.as_int() != 0):
        return None
    return table if table.size >= SMALLEST_TABLE and table.shape[1] % block == 0 else None


def _scales(graph: ir.Graph, name: str, blocks: Blocks) -> ir.Value:
    """(n, count) float32 from float16 in the file; onnxruntime converts it once, when it loads the graph."""
    half = initializer(graph, f"{name}/scales", np.ascontiguousarray(blocks.scales.T))
    cast = next((use[0] for use in half.uses()), None)
    if cast is None:
        cast = ir.node("Cast", [half], {"to": ir.DataType.FLOAT}, name=f"{name}/scales/Cast")
        out = cast.outputs[0]
        out.name, out.shape, out.type = f"{name}/scales_fp32", half.shape, ir.TensorType(ir.DataType.FLOAT)
        graph.insert_before(graph[0], cast)
    return cast.outputs[0]


def _replace_product(graph: ir.Graph, product: Product, blocks: Blocks, symmetric: bool, level: int) -> None:
    node, (k, n) = product.node, product.weight.shape
    name = f"blocks/{node.inputs[1].name}"  # type: ignore[union-attr]
    whole = np.zeros((n, len(blocks.scales) * blocks.block), np.uint8)
    whole[:, :k] = blocks.codes.T
    codes = initializer(graph, f"{name}/codes", pack(whole.reshape(n, -1, blocks.block), blocks.bits))
    inputs = [product.source, codes, _scales(graph, name, blocks)]
    if not symmetric:
        inputs.append(initializer(graph, f"{name}/zeros", pack(np.ascontiguousarray(blocks.zeros.T), blocks.bits)))
    attributes = {"K": k, "N": n, "bits": blocks.bits, "block_size": blocks.block, "accuracy_level": level}
    _put(graph, node, ir.node("MatMulNBits", inputs, attributes, domain=MICROSOFT, name=f"{name}/MatMulNBits"))


def _replace_table(graph: ir.Graph, node: ir.Node, blocks: Blocks) -> None:
    """Rows are dequantised after they are gathered. ``GatherBlockQuantized`` takes uint8 only in new versions of
    onnxruntime, and ``Gather`` takes no uint4 in any."""
    name, indices = f"blocks/{node.inputs[0].name}", node.inputs[1]  # type: ignore[union-attr]
    assert indices is not None
    kind = ml_dtypes.uint4 if blocks.bits == 4 else np.uint8
    codes = initializer(graph, f"{name}/codes", np.ascontiguousarray(blocks.codes.T).astype(kind))
    zeros = initializer(graph, f"{name}/zeros", np.ascontiguousarray(blocks.zeros.T).astype(kind))
    if blocks.bits == 4:
        attributes = {"block_size": blocks.block, "gather_axis": 0, "quantize_axis": 1}
        inputs = [codes, indices, _scales(graph, name, blocks), zeros]
        _put(graph, node, ir.node("GatherBlockQuantized", inputs, attributes, domain=MICROSOFT, name=f"{name}/Gather"))
        return
    rows = []
    for part, table in (("codes", codes), ("scales", _scales(graph, name, blocks)), ("zeros", zeros)):
        gather = ir.node("Gather", [table, indices], name=f"{node.name}/{part}/Gather")
        gather.outputs[0].name, gather.outputs[0].type = f"{node.outputs[0].name}.{part}", table.type
        graph.insert_before(node, gather)
        rows.append(gather.outputs[0])
    _put(graph, node, ir.node("DequantizeLinear", rows, {"axis": -1, "block_size": blocks.block}))


def _put(graph: ir.Graph, old: ir.Node, new: ir.Node) -> None:
    made, out = new.outputs[0], old.outputs[0]
    made.name, made.shape, made.type = f"{out.name}.blocks", out.shape, out.type
    graph.insert_before(old, new)
    replace(out, made)
    graph.remove(old, safe=True)
