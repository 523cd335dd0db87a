"""onnxruntime on CPU: one thread, only what is asked for, graphs that cannot be read."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from embedkit import BundleError, MissingExtraError
from embedkit.runtime.engines.onnxruntime import OnnxRuntime, has_cuda, products_overflow, session_options
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


def test_products_of_8_bits_are_exact_by_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (96, 48)).astype(np.int8)
    for signed in (weight, np.full_like(weight, 127)):
        graph = _eight_bits(signed)
        for rows in (1, 2, 7, 64):
            a = rng.integers(0, 256, (rows, 96)).astype(np.uint8)
            a[0] = 255
            expected = (a.astype(np.int32) - 128) @ signed.astype(np.int32)
            found = {}
            for overflow in (products_overflow(), True):
                monkeypatch.setattr("embedkit.runtime.engines.onnxruntime.products_overflow", lambda it=overflow: it)
                session = ort.InferenceSession(graph, session_options(), providers=["CPUExecutionProvider"])
                found[overflow] = session.run(None, {"a": a, "scale": np.ones((rows, 1), np.float32)})[0]
                assert np.array_equal(found[overflow], expected.astype(np.float32)), (rows, overflow)


def test_a_cpu_that_multiplies_with_vnni_does_not_overflow() -> None:
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists() or platform.machine() != "x86_64":
        pytest.skip("the flags of an x86 processor, as Linux tells them")
    flags = set(cpu.read_text().partition("flags")[2].partition("\n")[0].split())
    assert products_overflow() is not bool(flags & {"avx512_vnni", "avx_vnni"})


def _eight_bits(weight: np.ndarray) -> bytes:
    constants = {"b": weight, "scales": np.ones(weight.shape[1], np.float32), "zero": np.array(128, np.uint8)}
    node = helper.make_node(
        "MatMulIntegerToFloat", ["a", "b", "scale", "scales", "zero"], ["y"], domain="com.microsoft"
    )
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info("a", onnx.TensorProto.UINT8, ["m", weight.shape[0]]),
            helper.make_tensor_value_info("scale", onnx.TensorProto.FLOAT, ["m", 1]),
        ],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def test_sessions_start_no_threads_of_their_own() -> None:
    options = session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for call in (has_cuda, session_options, lambda: OnnxRuntime(tmp_path)):
        with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[cpu\]"):
            call()
