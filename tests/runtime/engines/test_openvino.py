"""OpenVINO on a real trained model: the promises that onnxruntime keeps, kept by another engine."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra openvino is not installed")

from openvino import Core

from embedkit import BundleError, DeviceError, Encoder, EncoderPool, InputError
from embedkit.runtime.engines.openvino import WIDTH, OpenVino, quantize_weights
from embedkit.testing.tiny import tiny_bundle
from helpers import machine
from helpers.texts import mixed

TEXTS = ["", "one", *mixed(70, longest=180), "word " * 400]


@pytest.fixture(scope="module")
def reference(minilm_bundle: Path) -> np.ndarray:
    return Encoder.load(minilm_bundle, variant="fp32", engine="onnxruntime", on_truncate="ignore").encode(TEXTS)


@pytest.fixture(scope="module", params=["f32", "bf16", "int8"])
def encoder(request: pytest.FixtureRequest, minilm_bundle: Path) -> Encoder:
    return Encoder.load(minilm_bundle, engine=f"openvino:{request.param}", on_truncate="ignore")


def test_near_the_other_engine(encoder: Encoder, reference: np.ndarray) -> None:
    found = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    least = {"f32": 0.999999, "bf16": 0.9995, "int8": 0.99}[encoder.engine.partition(":")[2]]
    assert (found * reference).sum(axis=1).min() > least
    if encoder.engine == "openvino:f32":
        assert np.abs(found - reference).max() < 1e-5
    elif encoder.engine != "openvino:bf16" or "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert np.abs(found - reference).max() > 1e-5, "it computes in the precision that was named"
    assert (encoder.variant, encoder.device) == ("fp32", "cpu")


def test_a_vector_does_not_depend_on_its_batch(encoder: Encoder, minilm_bundle: Path) -> None:
    if encoder.engine == "openvino:int8" and not machine.has("avx512_vnni"):
        pytest.skip("openvino's 8-bit kernels of this processor sum in another order alone than in a batch")
    together = encoder.encode(TEXTS)
    order = random.Random(1).sample(range(len(TEXTS)), len(TEXTS))
    assert encoder.encode([TEXTS[i] for i in order]).tobytes() == together[order].tobytes()
    for i in range(0, len(TEXTS), 7):
        assert encoder.encode(TEXTS[i]).tobytes() == together[i].tobytes()
    for budget, threads in ((1, 1), (9_000, 3)):
        other = Encoder.load(
            minilm_bundle, engine=encoder.engine, token_budget=budget, threads=threads, on_truncate="ignore"
        )
        assert other.encode(TEXTS).tobytes() == together.tobytes()


def test_more_callers_than_threads(minilm_bundle: Path) -> None:
    encoder = Encoder.load(minilm_bundle, engine="openvino:f32", threads=1, on_truncate="ignore")
    tower = encoder.loaded.towers["default"]
    batches = tower.prepare(encoder.fill(TEXTS[:40]), 64)
    expected = [tower.run(batch).values["dense"] for batch in batches]
    wrong = []

    def work() -> None:
        wrong.extend(
            batch
            for batch, vectors in zip(batches, expected, strict=True)
            if not np.array_equal(tower.run(batch).values["dense"], vectors)
        )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_widths_are_multiples_but_never_more_than_the_model_reads(minilm_bundle: Path) -> None:
    session = OpenVino(minilm_bundle / "model.fp32.onnx", precision="f32", threads=1)
    lengths = np.array([1, 16, 17, 250, 256, 300])
    assert session.widths(lengths, 256).tolist() == [WIDTH, 16, 32, 256, 256, 300]
    assert session.widths(np.array([60, 77]), 77).tolist() == [64, 77]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_it_works_in_a_forked_process(minilm_bundle: Path) -> None:
    encoder = Encoder.load(minilm_bundle, engine="openvino:f32", threads=2, on_truncate="ignore")
    expected = encoder.encode(TEXTS[:9]).tobytes()
    child = os.fork()
    if child == 0:
        threading.Timer(60, os._exit, (9,)).start()
        os._exit(0 if encoder.encode(TEXTS[:9]).tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_weights_are_those_of_the_file_within_half_a_step(tmp_path: Path) -> None:
    import openvino as ov
    import openvino.opset13 as ops

    rng = np.random.default_rng(0)
    weights, odd = rng.normal(size=(128, 5)).astype(np.float32), rng.normal(size=(5, 5)).astype(np.float32)
    weights[64:] *= 100
    given = ops.parameter([-1, 128], np.float32)
    model = ov.Model(
        [ops.matmul(ops.matmul(given, ops.constant(weights), False, False), ops.constant(odd), False, False)], [given]
    )
    assert quantize_weights(model) == 1, "a product of no whole groups stays as it is"
    exact = ov.Core().compile_model(
        model, "CPU", {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0", "INFERENCE_PRECISION_HINT": "f32"}
    )
    found = np.array(exact(np.eye(128, dtype=np.float32))[0]) @ np.linalg.inv(odd.astype(np.float64))
    steps = np.abs(weights.reshape(2, 64, 5)).max(axis=1, keepdims=True) / 127
    assert (np.abs(found.reshape(2, 64, 5) - weights.reshape(2, 64, 5)) <= steps * 0.51).all()


@pytest.mark.slow
def test_signals_are_handled_after_it_was_let_go(tmp_path: Path) -> None:
    """As after it was measured and another engine was chosen."""
    code = """
import gc, os, signal, sys
from embedkit import Encoder
Encoder.load(sys.argv[1], engine="openvino").encode(["one"])
gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", code, tiny_bundle(tmp_path / "b")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_workers_have_one_engine(minilm_bundle: Path) -> None:
    with EncoderPool.load(minilm_bundle, workers=2, engine="openvino", on_truncate="ignore") as pool:
        assert pool.engine.startswith("openvino:")
        assert pool.why
        assert [worker.options.engine for worker in pool._crew.workers] == [pool.engine] * 2
        one = Encoder.load(minilm_bundle, engine=pool.engine, on_truncate="ignore")
        assert pool.encode(TEXTS).tobytes() == one.encode(TEXTS).tobytes()


def test_what_it_cannot_do_is_said(minilm_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="openvino reads the variant fp32"):
        Encoder.load(minilm_bundle, engine="openvino", variant="int8")
    with pytest.raises(DeviceError, match="computes on CPU here"):
        Encoder.load(minilm_bundle, engine="openvino", device="cuda")
    with pytest.raises(InputError, match="found 'openvino:int4'"):
        Encoder.load(minilm_bundle, engine="openvino:int4")
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match="openvino .* cannot load this graph"):
        OpenVino(tmp_path / "model.onnx", precision="f32", threads=1)


def test_fp32_by_name_is_f32(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "b"), engine="openvino", variant="fp32", on_truncate="ignore")
    assert encoder.engine == "openvino:f32"
    texts, golden = encoder.bundle.golden().texts, encoder.bundle.golden().values
    assert np.abs(encoder.encode(texts) - golden["default"]["dense"]).max() < 1e-6
