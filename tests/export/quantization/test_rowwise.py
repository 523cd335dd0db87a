"""Quantisation on graphs: against numpy, and against the graph before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit_export.graphs import fuse
from embedkit_export.quantization import rowwise as quantize
from embedkit_export.quantization.calibration import sessions
from helpers.products import by_hand, error, feeds, one_product, run
from helpers.untouched import untouched


@pytest.mark.parametrize("shape", [(1, 1, 32), (1, 7, 96), (3, 5, 64)])
def test_a_quantised_product_is_what_numpy_says(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    weight = rng.normal(size=(shape[2], 24)).astype(np.float32)
    x = rng.normal(size=shape).astype(np.float32) * rng.lognormal(0, 2, size=(*shape[:2], 1)).astype(np.float32)
    model = one_product(weight)
    assert quantize.rowwise_int8(model) == 1
    found, expected = run(model, {"x": x}), by_hand(x, weight)
    # Rounding of a value that lies halfway may differ by one step; nothing else may.
    step = np.abs(x).max(-1, keepdims=True) / 127 * np.abs(weight).max()
    assert (np.abs(found - expected) <= step * 1.01).all()
    assert np.abs(found - expected).mean() < 1e-3 * np.abs(expected).mean()


def test_joined_tokens_are_a_token_tensor() -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(32, 16)).astype(np.float32), rng.normal(size=(10, 32)).astype(np.float32)
    model = one_product(weight, shape=("batch*tokens",))
    assert quantize.rowwise_int8(model) == 1
    assert "Reshape" not in {node.op_type for node in model.graph}
    found = run(model, {"input_ids": np.ones((2, 5), np.int64), "x": x})
    assert error(found, by_hand(x, weight)) < 1e-2 * np.abs(x @ weight).mean()


def test_a_row_of_zeros_gives_zeros() -> None:
    model = one_product(np.ones((32, 8), np.float32))
    quantize.rowwise_int8(model)
    x = np.zeros((1, 3, 32), np.float32)
    x[0, 1] = 1
    found = run(model, {"x": x})
    assert np.array_equal(found[0, [0, 2]], np.zeros((2, 8), np.float32))
    assert np.allclose(found[0, 1], 32, rtol=1e-3)


@pytest.mark.parametrize("activation", [None, "Gelu", "Relu"])
def test_rows_do_not_see_each_other(activation: str | None) -> None:
    rng = np.random.default_rng(5)
    model = one_product(rng.normal(size=(64, 32)).astype(np.float32), activation=activation)
    quantize.rowwise_int8(model)
    x = rng.normal(size=(4, 6, 64)).astype(np.float32)
    expected = run(model, {"x": x})
    x[1:] *= 1000
    assert run(model, {"x": x})[0].tobytes() == expected[0].tobytes()
    assert run(model, {"x": x[:1, :2]})[0].tobytes() == expected[0, :2].tobytes()


def test_a_graph_of_stock_operators_near_the_one_before(fused: ir.Model) -> None:
    statistics = quantize.calibrate(fused, feeds(*range(4, 40)))
    graph = fused.clone()
    assert quantize.rowwise_int8(graph, quantize.choose(fused, statistics)) == 12
    assert {node.domain for node in graph.graph} <= {"", "com.microsoft"}
    assert not graph.functions
    judged = feeds(7, 30, 64, seed=1)
    for feed in judged:
        found, exact = run(graph, feed), run(fused, feed)
        assert (found * exact).sum() / np.linalg.norm(found) / np.linalg.norm(exact) > 0.999


def test_an_int8_vector_does_not_depend_on_its_batch(fused: ir.Model) -> None:
    graph = fused.clone()
    quantize.rowwise_int8(graph, quantize.choose(fused, quantize.calibrate(fused, feeds(10, 20, 30))))
    session = sessions.open_session(graph)
    rng = np.random.default_rng(8)
    lengths = rng.integers(2, 40, 40)
    ids = rng.integers(5, 100, (40, 40))
    mask = (np.arange(40) < lengths[:, None]).astype(np.int64)
    together = session.run(None, {"input_ids": ids * mask, "attention_mask": mask})[0]
    for i, length in enumerate(lengths):
        alone = session.run(None, {"input_ids": ids[i : i + 1, :length], "attention_mask": mask[i : i + 1, :length]})[0]
        assert alone.tobytes() == together[i : i + 1].tobytes(), length


def test_kept_products_stay_as_they_are(fused: ir.Model) -> None:
    names = [product.name for product in quantize.products(fused)]
    graph = fused.clone()
    assert quantize.rowwise_int8(graph, keep=names[:3]) == len(names) - 3
    assert {product.name for product in quantize.products(graph)} >= set(names[:3])
    everything = fused.clone()
    assert quantize.rowwise_int8(everything, keep=names) == 0
    assert run(everything, feeds(9)[0]).tobytes() == run(fused, feeds(9)[0]).tobytes()


def test_the_most_sensitive_product_is_found(fused: ir.Model) -> None:
    broken = fused.clone()
    target = quantize.products(broken)[3]
    weight = target.weight.copy()
    weight[:, 0] = 0
    weight[0] *= 1000  # one huge weight a column: the others lose their steps
    target.node.replace_input_with(1, fuse.initializer(broken.graph, "spoilt", weight))
    with untouched(broken):
        order = quantize.sensitivity(broken, feeds(12, 30), quantize.choose(broken))
    assert order[0][0] == target.name
    assert [gain for _, gain in order] == sorted((gain for _, gain in order), reverse=True)
    assert len(order) == len(quantize.products(broken))


def _table(rows: int, width: int, *, read_whole: bool = False) -> tuple[ir.Model, np.ndarray]:
    """ids -> rows of a table, as "vectors"; where it is ``read_whole``, with the sum of all rows added."""
    rng = np.random.default_rng(rows)
    numbers = rng.normal(size=(rows, width)).astype(np.float32) * rng.lognormal(0, 1, (rows, 1)).astype(np.float32)
    ids = ir.val("input_ids", shape=ir.Shape(["batch", "tokens"]), type=ir.TensorType(ir.DataType.INT64))
    tensor = ir.tensor(numbers, name="table")
    table = ir.Value(name="table", shape=ir.Shape(numbers.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    nodes = [ir.node("Gather", [table, ids], name="rows")]
    if read_whole:
        nodes.append(ir.node("ReduceMax", [table], {"keepdims": 0}, name="highest"))
        nodes.append(ir.node("Add", [nodes[0].outputs[0], nodes[1].outputs[0]], name="sum"))
    out = nodes[-1].outputs[0]
    out.name, out.type = "vectors", ir.TensorType(ir.DataType.FLOAT)
    out.shape = ir.Shape(["batch", "tokens", width])
    graph = ir.Graph([ids], [out], nodes=nodes, initializers=[table], opset_imports={"": 21}, name="table")
    return ir.Model(graph, ir_version=10), numbers


def test_rows_of_a_table_have_scales_of_their_own_and_the_table_stays_small_when_it_is_loaded(tmp_path: Path) -> None:
    model, numbers = _table(2048, 160)
    assert quantize.rowwise_tables(model) == 1
    ids = np.array([[3, 2047, 0], [7, 3, 11]])
    peak = np.abs(numbers[ids]).max(axis=-1, keepdims=True)
    found = run(model, {"input_ids": ids})
    assert (np.abs(found - numbers[ids]) <= peak / 127 * 0.501).all()
    assert run(model, {"input_ids": ids[1:, 1:]}).tobytes() == found[1:, 1:].tobytes()
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    kept = onnx.load(tmp_path / "optimised.onnx").graph.initializer
    assert max(len(one.raw_data) for one in kept if one.data_type == onnx.TensorProto.FLOAT) <= 4 * 2048
    assert max(len(one.raw_data) for one in kept) == numbers.size


@pytest.mark.parametrize(("rows", "read_whole"), [(64, False), (2048, True)])
def test_a_small_table_and_one_that_something_else_reads_stay(rows: int, read_whole: bool) -> None:
    model, numbers = _table(rows, 160, read_whole=read_whole)
    assert not quantize.has_tables(model)
    assert quantize.rowwise_tables(model) == 0
    found = run(model, {"input_ids": np.array([[3, 5]])})
    assert np.array_equal(found[0], numbers[[3, 5]] + (numbers.max() if read_whole else np.float32(0)))
