"""onnxruntime on CPU: one thread, only what is asked for, graphs that cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from embedkit import BundleError, MissingExtraError
from embedkit.runtime.engines.onnxruntime import OnnxRuntime, has_cuda, session_options
from embedkit.testing.tiny import tiny_bundle

IDS = np.array([[256, 97, 257], [256, 98, 257]], dtype=np.int64)


def test_the_named_outputs_in_their_order(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle", kinds=("dense", "sparse", "multivector"))
    session = OnnxRuntime(folder / "model.fp32.onnx")
    given = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}
    dense, sparse, several = session.run(given, ["dense", "sparse", "multivector"])
    assert (dense.shape, sparse.shape, several.shape) == ((2, 8), (2, 8), (2, 3, 8))
    again, first = session.run(given, ["multivector", "dense"])
    assert (again.tobytes(), first.tobytes()) == (several.tobytes(), dense.tobytes())
    sums = several.sum(axis=1)
    assert np.allclose(dense, sums / np.linalg.norm(sums, axis=1, keepdims=True), atol=1e-6)
    assert (session.widths, session.rows) == (None, None), "all shapes are the same to it"


def test_what_is_no_graph_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"model\.onnx: onnxruntime .* cannot load this graph"):
        OnnxRuntime(file)


def test_sessions_start_no_threads_of_their_own() -> None:
    options = session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for call in (has_cuda, session_options, lambda: OnnxRuntime(tmp_path)):
        with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[cpu\]"):
            call()
