"""Which engine, device and variant are meant, as far as a machine without CUDA can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

import embedkit.runtime.engines.onnxruntime as engine
from embedkit import DeviceError, Encoder
from embedkit.runtime.engines.base import Device
from embedkit.runtime.engines.selection import (
    choose_device,
    choose_variant,
)


def test_devices(with_cuda: None) -> None:
    assert choose_device("cpu") == Device()
    assert choose_device("auto") == choose_device("cuda") == choose_device("cuda:0") == Device("cuda", (0,))
    assert choose_device("cuda:2,0") == Device("cuda", (2, 0))
    for bad in (
        "tpu",
        "cpu:0",
        "auto:0",
        "cuda:",
        "cuda:x",
        "cuda:0,",
        "cuda:0,0",
        "cuda:0,00",
        "cuda:-1",
        "cuda:²",
        "CUDA",
    ):
        with pytest.raises(DeviceError, match="expected 'auto', 'cpu'"):
            choose_device(bad)


def test_cuda_is_never_replaced_silently(minilm_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "has_cuda", lambda: False)
    assert choose_device("auto") == Device()
    with pytest.raises(DeviceError, match=r"embedkit-onnx\[gpu\]"):
        Encoder.load(minilm_bundle, device="cuda:0,1")


def test_the_variant_that_suits_the_device() -> None:
    all_ = dict.fromkeys(("fp32", "int8", "fp16", "w8"))
    assert choose_variant("auto", all_, "cuda") == "fp16"
    assert choose_variant("auto", {"fp32": 0, "int8": 0}, "cuda") == "fp32"
    assert choose_variant("auto", all_, "cpu") == "int8"
