"""What is decided about CUDA, and its way of running, as far as a machine without it can tell; the rest where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import DeviceError, Encoder
from embedkit.runtime.engines.cuda import Cuda, _assigned, check_assignment
from embedkit.runtime.tower import Tower
from helpers.texts import mixed

TEXTS = ["", *mixed(60, longest=100)]


def test_a_provider_that_is_named_and_not_there_is_an_error(minilm_bundle: Path, with_cuda: None) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(DeviceError, match="could not start CUDA"):
        Encoder.load(minilm_bundle, device="cuda")


def test_operators_that_would_move_to_the_cpu(minilm_bundle: Path) -> None:
    path, cuda = Path("m.onnx"), "CUDAExecutionProvider"
    check_assignment(
        path, cuda, [(cuda, "MatMul"), ("CPUExecutionProvider", "Shape"), ("CPUExecutionProvider", "Gather")]
    )
    left = [(cuda, "Softmax"), *[("CPUExecutionProvider", "MatMulIntegerToFloat")] * 2]
    with pytest.raises(DeviceError, match=r"leave them to the CPU \(2 MatMulIntegerToFloat\); load fp16 or fp32"):
        check_assignment(path, cuda, left)
    found = _assigned(Cuda(minilm_bundle / "model.int8.onnx", 0, provider="CPUExecutionProvider")._session)
    assert ("CPUExecutionProvider", "MatMulIntegerToFloat") in found
    with pytest.raises(DeviceError, match="MatMulIntegerToFloat"):
        check_assignment(path, cuda, found)


def bound(bundle: Path, variant: str = "fp32") -> tuple[Encoder, Tower, Cuda]:
    """An encoder, and its tower as on CUDA: bound tensors and few shapes, with the CPU in the device's place."""
    encoder = Encoder.load(bundle, variant=variant, engine="onnxruntime", on_truncate="ignore")
    tower = encoder.loaded.towers["default"]
    session = Cuda(bundle / f"model.{variant}.onnx", 0, provider="CPUExecutionProvider")
    return encoder, Tower(tower.modality, tower.preparer, session, tower.inputs, tower.outputs), session


@pytest.mark.parametrize("budget", [1, 700, 20_000])
def test_bound_tensors_and_rounded_shapes_change_nothing(minilm_bundle: Path, budget: int) -> None:
    encoder, tower, _ = bound(minilm_bundle)
    expected = encoder.encode(TEXTS)
    for _ in range(2):
        assert np.abs(tower.values(encoder.fill(TEXTS), budget)["dense"] - expected).max() < 1e-6


def test_few_shapes_are_seen(minilm_bundle: Path) -> None:
    encoder, tower, session = bound(minilm_bundle)
    seen = set()
    for seed in range(12):
        for batch in tower.prepare(encoder.fill(mixed(50, longest=220, seed=seed)), 16_384):
            seen.add((session.rows(len(batch.rows)), batch.width))
            assert batch.width in (16, 24, 32, 48, 64, 96, 128, 192, 256)
    assert {rows for rows, _ in seen} <= {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}
    assert session.widths(np.array([3, 17, 60, 70, 90]), 77).tolist() == [16, 24, 64, 77, 90]


def test_tensors_of_shapes_long_not_seen_are_freed(bundle: Path) -> None:
    _, _, session = bound(bundle)
    for width in range(2, 120):
        ids = np.full((1, min(width, 64)), 5, dtype=np.int64)
        ids = np.repeat(ids, width // 64 + 1, axis=0)
        session.run({"input_ids": ids, "attention_mask": np.ones_like(ids)}, ["dense"])
    assert len(session._bound) <= 64


@pytest.fixture
def device_zero() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs a CUDA device and onnxruntime-gpu")


@pytest.mark.gpu
def test_cuda_equals_cpu(minilm_bundle: Path, device_zero: None) -> None:
    on_gpu = Encoder.load(minilm_bundle, device="cuda", variant="fp32", on_truncate="ignore")
    on_cpu = Encoder.load(minilm_bundle, device="cpu", variant="fp32", on_truncate="ignore")
    assert on_gpu.device == "cuda:0"
    assert np.abs(on_gpu.encode(TEXTS) - on_cpu.encode(TEXTS)).max() < 1e-3


@pytest.mark.gpu
def test_int8_does_not_run_on_the_cpu_unsaid(minilm_bundle: Path, device_zero: None) -> None:
    with pytest.raises(DeviceError, match="CUDA has no kernel"):
        Encoder.load(minilm_bundle, device="cuda", variant="int8")


@pytest.mark.gpu
def test_a_device_that_is_not_there(minilm_bundle: Path, device_zero: None) -> None:
    with pytest.raises((DeviceError, ValueError), match="cuda:99"):
        Encoder.load(minilm_bundle, device="cuda:99", variant="fp32")
