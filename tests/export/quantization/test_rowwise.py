"""Quantisation on graphs: against numpy, and against the graph before."""

from __future__ import annotations

from math import erf
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit_export import prepare
from embedkit_export.graphs import capture, fuse
from embedkit_export.quantization import activations as reading
from embedkit_export.quantization import calibration as calibrate
from embedkit_export.quantization import gptq as rounding
from embedkit_export.quantization import rowwise as quantize
from helpers import models
from helpers.untouched import untouched


@pytest.fixture(scope="module")
def fused_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = models.save("bert", tmp_path_factory.mktemp("quantize") / "bert", layers=2)
    model = capture.capture(prepare(folder).plan.graphs["default"])
    fuse.fuse(model)
    return bytes(ir.to_proto(model).SerializeToString())


@pytest.fixture
def fused(fused_bytes: bytes) -> ir.Model:
    """Of each test its own: what one of them does to it, no other sees."""
    return ir.from_proto(onnx.load_model_from_string(fused_bytes))


def feeds(*lengths: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(5, 100, (1, length)) for length in lengths]
    return [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in rows]


def run(model: ir.Model, feed: dict[str, np.ndarray]) -> np.ndarray:
    session = calibrate.open_session(model)
    return np.asarray(session.run(None, feed)[0])


def one_product(
    weight: np.ndarray, *, activation: str | None = None, shape: tuple[Any, ...] = ("batch", "tokens")
) -> ir.Model:
    """x (*shape, k), the activation if there is one, MatMul with the weight: y."""
    ids = ir.val("input_ids", shape=ir.Shape(["batch", "tokens"]), type=ir.TensorType(ir.DataType.INT64))
    x = ir.val("x", shape=ir.Shape([*shape, weight.shape[0]]), type=ir.TensorType(ir.DataType.FLOAT))
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 21}, name="g")
    if len(shape) == 1:
        graph.inputs.insert(0, ids)
    value: ir.Value = x
    if activation:
        node = ir.node(activation, [x])
        value = node.outputs[0]
        value.shape, value.type, value.name = x.shape, x.type, "activated"
        graph.append(node)
    product = ir.node("MatMul", [value, fuse.initializer(graph, "w", weight)])
    product.outputs[0].name = "y"
    product.outputs[0].shape, product.outputs[0].type = ir.Shape([*shape, weight.shape[1]]), x.type
    graph.append(product)
    graph.outputs.append(product.outputs[0])
    return ir.Model(graph, ir_version=10)


def by_hand(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Row-wise dynamic int8 in numpy: symmetric around 128, one scale a row, one a column."""
    weight_scale = np.abs(weight).max(0) / 127
    w = np.rint(weight / weight_scale)
    rows = x.reshape(-1, x.shape[-1])
    scale = np.maximum(np.abs(rows).max(1, keepdims=True) / 127, 1e-10)
    q = np.clip(np.rint(rows / scale) + 128, 0, 255) - 128
    return ((q @ w) * scale * weight_scale).reshape(*x.shape[:-1], -1)


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - exact).mean()))


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


@pytest.mark.parametrize("shape", [("batch",), ("batch", 2), ("batch", 1)])
def test_pooled_vectors_stay_in_fp32(shape: tuple[Any, ...]) -> None:
    model = one_product(np.ones((32, 8), np.float32), shape=shape)
    assert quantize.products(model) == []
    assert quantize.rowwise_int8(model) == 0
    assert [node.op_type for node in model.graph] == ["MatMul"]


def test_a_fixed_number_of_tokens_is_quantised() -> None:
    assert len(quantize.products(one_product(np.ones((32, 8), np.float32), shape=("batch", 197)))) == 1


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


def test_a_bound_below_halves_the_error() -> None:
    rng = np.random.default_rng(6)
    weight = rng.normal(size=(128, 64)).astype(np.float32)
    x = rng.normal(size=(2, 50, 128)).astype(np.float32)
    gelu = (x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))).astype(np.float32)
    assert gelu.min() > -reading.LOWEST["Gelu"]
    for activation, activated in (("Gelu", gelu), ("Relu", np.maximum(x, 0))):
        model = one_product(weight, activation=activation)
        quantize.rowwise_int8(model)
        exact = activated @ weight
        assert error(run(model, {"x": x}), exact) < 0.8 * error(by_hand(activated, weight), exact)


def test_smoothing_keeps_the_product_and_lowers_the_error() -> None:
    rng = np.random.default_rng(7)
    weight = rng.normal(size=(96, 48)).astype(np.float32)
    x = rng.normal(size=(2, 60, 96)).astype(np.float32)
    x[..., :3] *= 40
    factors = reading.smoothing(np.abs(x).max((0, 1)), [weight], 0.7)
    assert np.allclose((x / factors) @ (weight * factors[:, None]), x @ weight, rtol=1e-3, atol=1e-2)
    assert np.exp(np.log(factors).mean()) == pytest.approx(1, rel=1e-4)
    errors = []
    for statistics in ({}, {"x": statistics_of(x)}):
        model = one_product(weight)
        quantize.rowwise_int8(model, quantize.choose(model, statistics))
        errors.append(error(run(model, {"x": x}), x @ weight))
    assert errors[1] < 0.7 * errors[0]


def with_massive_tokens(rng: np.random.Generator, rows: int, k: int, often: int) -> np.ndarray:
    """Normal rows; every ``often``-th has one channel (one of two) some sixty times as large as the others."""
    x = rng.normal(size=(rows, k))
    x[::often] *= 0.1
    x[::often, 5] = 6 + rng.random(len(x[::often]))
    x[:: 2 * often, 5] = 0.1
    x[:: 2 * often, k - 3] = -7
    return x.astype(np.float32)


def test_a_channel_that_is_huge_in_few_tokens_is_read_in_parts() -> None:
    rng = np.random.default_rng(11)
    weight = rng.normal(size=(192, 40)).astype(np.float32)
    x, unseen = with_massive_tokens(rng, 900, 192, 20), with_massive_tokens(rng, 300, 192, 20)[None]
    statistics = statistics_of(x)
    whole = [reading.Reading(reading.smoothing(statistics.peak, [weight], a)) for a in reading.ALPHAS]
    split = reading.choose_reading(statistics, [weight], None)
    assert set(split.copies) == {5, 189}
    assert len(split.copies) <= 192 // 48
    assert np.allclose(split.smoothed(unseen[0]) @ split.weight(weight), unseen[0] @ weight, rtol=1e-4, atol=1e-4)
    assert np.allclose(
        split.moment(statistics.moment()),
        split.smoothed(np.eye(192)).T @ statistics.moment() @ split.smoothed(np.eye(192)),
        atol=1e-3,
    )
    exact = unseen[0, ::20] @ weight
    before = min(error(how(unseen[0, ::20]) @ how.weight(weight), exact) for how in whole)
    model = one_product(weight)
    choices = quantize.choose(model, {"x": statistics})
    assert quantize.rowwise_int8(model, choices) == 1
    assert error(split(unseen[0, ::20]) @ split.weight(weight), exact) < 0.7 * before
    assert error(run(model, {"x": unseen})[0, ::20], exact) < 0.85 * before


def test_ordinary_channels_are_read_once() -> None:
    rng = np.random.default_rng(12)
    weight = rng.normal(size=(192, 40)).astype(np.float32)
    x = rng.normal(size=(900, 192)) * rng.lognormal(0, 0.5, size=192)
    assert reading.choose_reading(statistics_of(x.astype(np.float32)), [weight], None).copies is None


def statistics_of(x: np.ndarray) -> calibrate.Statistics:
    rows = x.reshape(-1, x.shape[-1]).astype(np.float32)
    even = rows / np.sqrt(np.square(rows).mean(1, keepdims=True))
    second = (even.T @ even / len(rows)).astype(np.float32)
    return calibrate.Statistics(np.abs(rows).max(0), rows, second)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([None, "Gelu", "Relu"]), st.sampled_from([1e-6, 1.0, 1e4]), st.booleans()
)
def test_a_reading_is_within_half_a_step(seed: int, made_by: str | None, size: float, smooth: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(7, 24)) * size).astype(np.float32)
    if made_by:
        rows = np.maximum(rows, -np.float32(reading.LOWEST[made_by]))
    weights = [rng.normal(size=(24, 5)).astype(np.float32)]
    how = reading.choose_reading(statistics_of(rows) if smooth else None, weights, made_by)
    assert (np.abs(how(rows) - how.smoothed(rows)) <= how.steps(rows) * 0.5001).all()
    assert 0 <= how.zero <= 128


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 20))
def test_rounding_stays_near_the_weight(seed: int, k: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    weight, x = rng.normal(size=(k, n)).astype(np.float32), rng.normal(size=(max(2, k // 2), k)).astype(np.float32)
    steps, scale = rounding.OutputRounding((x.T @ x / len(x)).astype(np.float32))(weight)
    assert steps.shape == weight.shape
    assert steps.dtype == np.int8
    assert (steps >= -127).all()
    assert error(x @ (steps * scale), x @ weight) <= 1.05 * error(
        x @ np.multiply(*rounding.nearest(weight)), x @ weight
    ) + 0.02 * error(x @ weight, 0 * (x @ weight))


def test_rounding_by_the_output_lowers_the_error_of_correlated_inputs() -> None:
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(16, 128)).astype(np.float32)
    x = (rng.normal(size=(2000, 16)) @ mixing + 0.3 * rng.normal(size=(2000, 128))).astype(np.float32)
    weight = rng.normal(size=(128, 64)).astype(np.float32)
    plain, plain_scale = rounding.nearest(weight)
    steps, scale = rounding.OutputRounding((x.T @ x / len(x)).astype(np.float32))(weight)
    assert error(x @ (steps * scale), x @ weight) < 0.5 * error(x @ (plain * plain_scale), x @ weight)


def test_rounding_is_what_one_row_after_the_other_gives() -> None:
    """Against GPTQ as first written down: the inverse of what is left is computed anew for every row."""
    rng = np.random.default_rng(4)
    k, n = 40, 6
    x = rng.normal(size=(300, k)) @ rng.normal(size=(k, k))
    second, weight = (x.T @ x / len(x)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    steps, scale = rounding.OutputRounding(second)(weight)
    moment = second.astype(np.float64)
    damped = moment + rounding.DAMPING * np.trace(moment) / k * np.eye(k)
    left = weight.astype(np.float64)
    assert np.allclose(scale, np.abs(left).max(0) / 127, rtol=1e-4)
    todo = list(np.argsort(-np.diag(second), kind="stable"))
    expected = np.zeros((k, n))
    while todo:
        row = todo[0]
        expected[row] = np.clip(np.rint(left[row] / scale), -127, 127)
        inverse = np.linalg.inv(damped[np.ix_(todo, todo)])
        wrong = (left[row] - expected[row] * scale) / inverse[0, 0]
        left[todo] -= np.outer(inverse[:, 0], wrong)
        todo.pop(0)
    assert (steps == expected).mean() > 0.99, "a number that lies halfway may fall to either side"


def test_a_dead_input_is_no_trouble() -> None:
    weight = np.ones((8, 3), np.float32)
    steps, scale = rounding.OutputRounding(np.zeros((8, 8), np.float32))(weight)
    assert np.isfinite(scale).all()
    assert steps.shape == weight.shape


def test_statistics_are_those_of_the_activations(fused: ir.Model) -> None:
    few, many = (quantize.calibrate(fused, chosen) for chosen in (feeds(5), feeds(5, 12, 20)))
    assert set(few) == {str(product.source.name) for product in quantize.products(fused)}
    assert all((many[name].peak >= few[name].peak).all() for name in few)
    name = next(iter(few))
    tapped = fused.clone()
    tapped.graph.outputs[:] = [v for node in tapped.graph for v in node.outputs if v.name == name]
    rows = np.concatenate([run(tapped, feed)[0] for feed in feeds(5, 12, 20)])
    expected = statistics_of(rows)
    assert np.allclose(many[name].peak, expected.peak, rtol=1e-5)
    assert np.allclose(many[name].second, expected.second, atol=1e-4)
    assert np.allclose(np.sort(many[name].sample, axis=0), np.sort(rows, axis=0), atol=1e-5)


def test_second_moments_have_a_limit(fused: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = quantize.calibrate(fused, feeds(20, 20))
    monkeypatch.setattr(calibrate, "SECOND_MOMENT_BYTES", 0)
    found = quantize.calibrate(fused, feeds(20, 20))
    assert all(statistics.second is None for statistics in found.values())
    for name, statistics in found.items():
        assert np.allclose(statistics.moment(), whole[name].second, atol=1e-4)


def test_calibration_leaves_the_graph_as_it_was(fused: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with untouched(fused):
        small = quantize.calibrate(fused, feeds(9))
    monkeypatch.setattr(calibrate, "IN_MEMORY_BYTES", 0)  # as for a graph that does not fit into one message
    with untouched(fused):
        large = quantize.calibrate(fused, feeds(9))
    assert all(np.array_equal(small[name].peak, large[name].peak) for name in small)


def test_calibration_leaves_weights_in_their_file(fused: ir.Model, tmp_path: Path) -> None:
    expected = quantize.calibrate(fused, feeds(9))
    ir.save(fused, tmp_path / "graph.onnx", external_data="weights.data")
    loaded = ir.load(tmp_path / "graph.onnx")
    kept = (tmp_path / "weights.data").read_bytes()
    with untouched(loaded):
        found = quantize.calibrate(loaded, feeds(9))
    assert any(isinstance(value.const_value, ir.ExternalTensor) for value in loaded.graph.initializers.values())
    assert (tmp_path / "weights.data").read_bytes() == kept
    assert all(np.array_equal(found[name].peak, expected[name].peak) for name in expected)


def test_a_session_that_cannot_be_opened_leaves_the_graph_as_it_was() -> None:
    model = one_product(np.ones((32, 8), np.float32), activation="Gelu")
    model.graph[0].op_type = "NoSuchOperator"
    with untouched(model), pytest.raises(Exception, match="NoSuchOperator"):
        calibrate.open_session(model, ["activated"])
    with untouched(model), pytest.raises(KeyError):
        calibrate.open_session(model, ["activated", "no such value"])


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
    session = calibrate.open_session(graph)
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
