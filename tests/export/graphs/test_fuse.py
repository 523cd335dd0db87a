"""Fusion on graphs: against the graph before."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit import ExportError
from embedkit_export import prepare
from embedkit_export.graphs import capture, fuse
from embedkit_export.graphs.fusion_checks import check_fused, counts
from embedkit_export.plan.plan import GraphPlan
from embedkit_export.quantization import calibration as calibrate
from helpers import models, slow


@pytest.fixture(scope="module")
def how(tmp_path_factory: pytest.TempPathFactory) -> GraphPlan:
    folder = models.save("bert", tmp_path_factory.mktemp("graph") / "bert", layers=3)
    return prepare(folder).plan.graphs["default"]


@pytest.fixture(scope="module")
def captured_once(how: GraphPlan) -> ir.Model:
    return capture.capture(how)


@pytest.fixture
def captured(captured_once: ir.Model) -> ir.Model:
    """Of each test its own."""
    return captured_once.clone()


def run(model: ir.Model, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    out = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask})[0]
    return np.asarray(out)


def test_fusing_changes_the_form_and_not_the_vectors(captured: ir.Model, how: GraphPlan) -> None:
    fused = capture.own_copy(captured)
    made = fuse.fuse(fused)
    assert made == {
        "attention bias": 6,
        "attention scale": 3,
        "Gelu bias": 3,
        "residual bias": 3,
        "token types": 1,
    }
    assert check_fused(fused, how.config) == []
    assert counts(fused) == {"MatMul": 25, "Softmax": 3, "LayerNormalization": 7, "Gelu": 3}
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
        check_fused(broken, how.config)
    unknown = copy.copy(how.config)
    unknown.model_type = "nobody-knows"
    assert len(check_fused(broken, unknown)) == 2, "said, not refused"


@pytest.mark.parametrize(
    ("family", "made"),
    slow.but(
        ("albert", "qwen3"),
        [
            (
                "albert",
                {"FastGelu": 2, "attention bias": 4, "attention scale": 2, "residual bias": 2, "token types": 1},
            ),
            ("deberta", {"LayerNormalization": 5, "Gelu bias": 2, "residual bias": 2}),
            ("t5", {"SimplifiedLayerNormalization": 5, "FastGelu": 2}),
            ("gpt2", {"MatMul": 8, "FastGelu": 2}),
            ("qwen3", {"SimplifiedLayerNormalization": 9, "QuickGelu": 2}),
        ],
    ),
)
def test_operators_in_pieces_are_put_together(family: str, made: dict[str, int]) -> None:
    plan = prepare(models.make(family)).plan.graphs["default"]
    before = capture.capture(plan)
    after = capture.own_copy(before)
    assert fuse.fuse(after) == made
    assert check_fused(after, plan.config) == []
    ids = np.random.default_rng(1).integers(5, 100, (3, 21))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    assert np.abs(run(after, ids, mask) - run(before, ids, mask)).max() < 1e-5


def test_a_copy_has_the_weights_that_lie_in_a_file(
    captured: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is written or run, and when the file is gone."""
    (tmp_path / "there").mkdir()
    ir.save(captured.clone(), tmp_path / "there" / "graph.onnx", external_data="weights.data")
    loaded = ir.load(tmp_path / "there" / "graph.onnx")
    assert any(isinstance(value.const_value, ir.ExternalTensor) for value in loaded.graph.initializers.values())
    monkeypatch.chdir(tmp_path)
    ids = np.array([[2, 7, 9, 3]])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    expected = calibrate.open_session(captured).run(None, feed)[0]
    assert np.array_equal(calibrate.open_session(loaded).run(None, feed)[0], expected)
    copied = capture.own_copy(loaded)
    del loaded
    for file in (tmp_path / "there").iterdir():
        file.unlink()
    ir.save(copied, tmp_path / "copy.onnx")
    assert np.array_equal(ort.InferenceSession(tmp_path / "copy.onnx").run(None, feed)[0], expected)
