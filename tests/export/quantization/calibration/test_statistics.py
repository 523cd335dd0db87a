"""Statistics of the inputs of products: against numpy, and without a trace on the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from embedkit_export.quantization import rowwise as quantize
from embedkit_export.quantization.calibration import sessions, statistics
from helpers.products import feeds, run, statistics_of
from helpers.untouched import untouched


def test_statistics_are_those_of_the_activations(fused: ir.Model) -> None:
    few, many = (dict(quantize.calibrate(fused, chosen)) for chosen in (feeds(5), feeds(5, 12, 20)))
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
    whole = dict(quantize.calibrate(fused, feeds(20, 20)))
    monkeypatch.setattr(statistics, "SECOND_MOMENT_BYTES", 0)
    found = dict(quantize.calibrate(fused, feeds(20, 20)))
    assert all(one.second is None for one in found.values())
    for name, one in found.items():
        assert np.allclose(one.moment(), whole[name].second, atol=1e-4)


def test_calibration_leaves_the_graph_as_it_was(fused: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with untouched(fused):
        small = dict(quantize.calibrate(fused, feeds(9)))
    monkeypatch.setattr(sessions, "IN_MEMORY_BYTES", 0)  # as for a graph that does not fit into one message
    with untouched(fused):
        large = dict(quantize.calibrate(fused, feeds(9)))
    assert all(np.array_equal(small[name].peak, large[name].peak) for name in small)


def test_calibration_leaves_weights_in_their_file(fused: ir.Model, tmp_path: Path) -> None:
    expected = dict(quantize.calibrate(fused, feeds(9)))
    ir.save(fused, tmp_path / "graph.onnx", external_data="weights.data")
    loaded = ir.load(tmp_path / "graph.onnx")
    kept = (tmp_path / "weights.data").read_bytes()
    with untouched(loaded):
        found = dict(quantize.calibrate(loaded, feeds(9)))
    assert any(isinstance(value.const_value, ir.ExternalTensor) for value in loaded.graph.initializers.values())
    assert (tmp_path / "weights.data").read_bytes() == kept
    assert all(np.array_equal(found[name].peak, expected[name].peak) for name in expected)


def test_of_no_texts_there_are_no_statistics(fused: ir.Model) -> None:
    assert not list(quantize.calibrate(fused, []))


@pytest.mark.parametrize("width", [1, 255, 256, 700])
def test_second_moments_of_any_width_are_whole_squares(width: int) -> None:
    x = ir.Value(name="x", shape=ir.Shape(["n", width]), type=ir.TensorType(ir.DataType.FLOAT))
    read = ir.Node("", "Neg", [x], name="read")
    read.outputs[0].name, read.outputs[0].shape, read.outputs[0].type = "y", x.shape, x.type
    model = ir.Model(ir.Graph([x], [read.outputs[0]], nodes=[read], name="g", opset_imports={"": 21}), ir_version=10)
    texts = [np.random.default_rng(n).standard_normal((n, width), np.float32) for n in (3, 1500, 900)]
    ((name, found),) = statistics.calibrate(model, [{"x": text} for text in texts], {"y": width})
    rows = np.concatenate(texts).astype(np.float64)
    even = rows / np.sqrt(np.square(rows).mean(axis=1, keepdims=True))
    assert name == "y"
    np.testing.assert_allclose(found.moment(), even.T @ even / len(even), atol=1e-4)
    assert np.array_equal(found.moment(), found.moment().T)
