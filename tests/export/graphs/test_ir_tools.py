"""What all rewrites use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from embedkit_export.graphs import capture
from embedkit_export.quantization.calibration import sessions


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
    expected = sessions.open_session(captured).run(None, feed)[0]
    assert np.array_equal(sessions.open_session(loaded).run(None, feed)[0], expected)
    copied = capture.own_copy(loaded)
    del loaded
    for file in (tmp_path / "there").iterdir():
        file.unlink()
    ir.save(copied, tmp_path / "copy.onnx")
    assert np.array_equal(ort.InferenceSession(tmp_path / "copy.onnx").run(None, feed)[0], expected)
