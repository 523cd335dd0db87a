"""Fusion and quantisation on graphs: against numpy, and against the graph before."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit import ExportError
from embedkit_export import capture, fuse, prepare, quantize
from embedkit_export.plan import GraphPlan
from export import models


@pytest.fixture(scope="module")
def how(tmp_path_factory: pytest.TempPathFactory) -> GraphPlan:
    folder = models.save("bert", tmp_path_factory.mktemp("graph") / "bert", layers=3)
    return prepare(folder).plan.graphs["default"]


@pytest.fixture(scope="module")
def captured(how: GraphPlan) -> ir.Model:
    return capture.capture(how)


def run(model: ir.Model, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    out = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask})[0]
    return np.asarray(out)


def test_fusing_changes_the_form_and_not_the_vectors(captured: ir.Model, how: GraphPlan) -> None:
    fused = capture.own_copy(captured)
    made = fuse.fuse(fused)
    assert made == {"attention scale": 3, "BiasGelu": 3, "token types": 1}
    assert fuse.check_fused(fused, how.config) == []
    assert fuse.counts(fused) == {"MatMul": 25, "Softmax": 3, "LayerNormalization": 7, "BiasGelu": 3}
    rng = np.random.default_rng(0)
    for shape in ((1, 2), (1, 64), (5, 13)):
        ids = rng.integers(5, 100, shape)
        mask = (rng.random(shape) < 0.8).astype(np.int64)
        mask[:, 0] = 1
        assert np.abs(run(fused, ids, mask) - run(captured, ids, mask)).max() < 1e-5


def test_an_unfused_graph_is_refused(captured: ir.Model, how: GraphPlan) -> None:
    broken = capture.own_copy(captured)
    gelu = next(node for node in broken.graph if node.op_type == "Gelu")
    erf = ir.node("Erf", [gelu.inputs[0]])
    broken.graph.insert_before(gelu, erf)
    fuse.replace(gelu.outputs[0], erf.outputs[0])
    broken.graph.remove(gelu, safe=True)
    with pytest.raises(
        ExportError, match=r"Gelu: expected 3 \(one a layer\), found 2; Erf: expected Gelu as one operator"
    ):
        fuse.check_fused(broken, how.config)
    unknown = copy.copy(how.config)
    unknown.model_type = "nobody-knows"
    assert len(fuse.check_fused(broken, unknown)) == 2, "said, not refused"


@pytest.mark.parametrize(
    ("family", "made"),
    [
        ("albert", {"FastGelu": 2, "attention scale": 2, "token types": 1}),
        ("t5", {"SimplifiedLayerNormalization": 5, "FastGelu": 2}),
        ("gpt2", {"MatMul": 8, "FastGelu": 2}),
        ("qwen3", {"SimplifiedLayerNormalization": 9, "QuickGelu": 2}),
    ],
)
def test_operators_in_pieces_are_put_together(family: str, made: dict[str, int]) -> None:
    plan = prepare(models.make(family)).plan.graphs["default"]
    before = capture.capture(plan)
    after = capture.own_copy(before)
    assert fuse.fuse(after) == made
    assert fuse.check_fused(after, plan.config) == []
    ids = np.random.default_rng(1).integers(5, 100, (3, 21))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    assert np.abs(run(after, ids, mask) - run(before, ids, mask)).max() < 1e-5


def _one_product(weight: np.ndarray, after_gelu: bool) -> ir.Model:
    x = ir.val("x", shape=ir.Shape(["batch", "tokens", weight.shape[0]]), type=ir.TensorType(ir.DataType.FLOAT))
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 21}, name="g")
    value: ir.Value = x
    if after_gelu:
        gelu = ir.node("Gelu", [x])
        gelu.outputs[0].shape, gelu.outputs[0].type, gelu.outputs[0].name = x.shape, x.type, "activated"
        graph.append(gelu)
        value = gelu.outputs[0]
    product = ir.node("MatMul", [value, fuse.initializer(graph, "w", weight)])
    product.outputs[0].name = "y"
    product.outputs[0].shape, product.outputs[0].type = ir.Shape(["batch", "tokens", weight.shape[1]]), x.type
    graph.append(product)
    graph.outputs.append(product.outputs[0])
    return ir.Model(graph, ir_version=10)


def _by_hand(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Row-wise dynamic int8 in numpy: symmetric around 128, one scale a row, one a column."""
    weight_scale = np.abs(weight).max(0) / 127
    w = np.rint(weight / weight_scale)
    rows = x.reshape(-1, x.shape[-1])
    scale = np.maximum(np.abs(rows).max(1, keepdims=True) / 127, 1e-10)
    q = np.clip(np.rint(rows / scale) + 128, 0, 255) - 128
    return ((q @ w) * scale * weight_scale).reshape(*x.shape[:-1], -1)


def _run_one(model: ir.Model, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize("shape", [(1, 1, 32), (1, 7, 96), (3, 5, 64)])
def test_a_quantised_product_is_what_numpy_says(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    weight = rng.normal(size=(shape[2], 24)).astype(np.float32)
    x = rng.normal(size=shape).astype(np.float32) * rng.lognormal(0, 2, size=(*shape[:2], 1)).astype(np.float32)
    model = _one_product(weight, after_gelu=False)
    assert quantize.rowwise_int8(model, {}) == 1
    found, expected = _run_one(model, x), _by_hand(x, weight)
    # Rounding of a value that lies halfway may differ by one step; nothing else may.
    step = np.abs(x).max(-1, keepdims=True) / 127 * np.abs(weight).max()
    assert (np.abs(found - expected) <= step * 1.01).all()
    assert np.abs(found - expected).mean() < 1e-3 * np.abs(expected).mean()


def test_a_row_of_zeros_gives_zeros() -> None:
    model = _one_product(np.ones((32, 8), np.float32), after_gelu=False)
    quantize.rowwise_int8(model, {})
    x = np.zeros((1, 3, 32), np.float32)
    x[0, 1] = 1
    found = _run_one(model, x)
    assert np.array_equal(found[0, [0, 2]], np.zeros((2, 8), np.float32))
    assert np.allclose(found[0, 1], 32, rtol=1e-3)


def test_rows_do_not_see_each_other() -> None:
    rng = np.random.default_rng(5)
    model = _one_product(rng.normal(size=(64, 32)).astype(np.float32), after_gelu=False)
    quantize.rowwise_int8(model, {})
    x = rng.normal(size=(4, 6, 64)).astype(np.float32)
    expected = _run_one(model, x)
    x[1:] *= 1000
    assert _run_one(model, x)[0].tobytes() == expected[0].tobytes()
    assert _run_one(model, x[:1, :2])[0].tobytes() == expected[0, :2].tobytes()


def test_the_gelu_zero_point_halves_the_error() -> None:
    from math import erf

    rng = np.random.default_rng(6)
    weight = rng.normal(size=(128, 64)).astype(np.float32)
    x = rng.normal(size=(2, 50, 128)).astype(np.float32)
    model = _one_product(weight, after_gelu=True)
    quantize.rowwise_int8(model, {})
    activated = (x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))).astype(np.float32)
    exact = activated @ weight
    ours, plain = _run_one(model, x) - exact, _by_hand(activated, weight) - exact
    assert np.sqrt((ours**2).mean()) < 0.75 * np.sqrt((plain**2).mean())
    assert activated.min() > -0.17


def test_smoothing_keeps_the_product_and_lowers_the_error() -> None:
    rng = np.random.default_rng(7)
    weight = rng.normal(size=(96, 48)).astype(np.float32)
    x = rng.normal(size=(2, 60, 96)).astype(np.float32)
    x[..., :3] *= 40
    peak = np.abs(x).max((0, 1))
    factors = quantize.smoothing(peak, [weight])
    assert np.allclose((x / factors) @ (weight * factors[:, None]), x @ weight, rtol=1e-3, atol=1e-2)
    assert np.exp(np.log(factors).mean()) == pytest.approx(1, rel=1e-4)
    errors = []
    for peaks in ({}, {"x": peak}):
        model = _one_product(weight, after_gelu=False)
        quantize.rowwise_int8(model, peaks)
        errors.append(float(np.sqrt(((_run_one(model, x) - x @ weight) ** 2).mean())))
    assert errors[1] < 0.7 * errors[0]


def test_peaks_are_those_of_the_activations(captured: ir.Model) -> None:
    fused: Any = capture.own_copy(captured)
    fuse.fuse(fused)
    few, many = [np.array([5, 9, 7])], [np.array([5, 9, 7]), np.array([11, 30, 31, 32, 8])]
    small, large = quantize.channel_peaks(fused, few), quantize.channel_peaks(fused, many)
    assert set(small) == {str(product.source.name) for product in quantize.products(fused)}
    assert all((large[name] >= small[name]).all() for name in small)
    assert any((large[name] > small[name]).any() for name in small)


def test_saved_graph_uses_stock_operators_only(captured: ir.Model, tmp_path: Path) -> None:
    graph = capture.own_copy(captured)
    fuse.fuse(graph)
    assert quantize.rowwise_int8(graph, {}) == 18
    assert {node.domain for node in graph.graph} <= {"", "com.microsoft"}
    assert not graph.functions
    ids = np.array([[5, 6, 7, 8]])
    assert np.isfinite(run(graph, ids)).all()
