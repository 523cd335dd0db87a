"""What runs a graph: the interface that each engine fills, and which device, variant and engine a request means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from embedkit.errors import DeviceError, InputError

from .base import Session, Spread

ENGINES = ("onnxruntime", "openvino", "openvino:f32", "openvino:bf16", "openvino:int8")
"""What ``engine`` may name beside ``auto``."""

_PREFERENCE = {"cpu": ("int8", "fp32"), "cuda": ("fp16", "fp32")}


def open_session(path: Path, *, engine: str, device: str, indices: Sequence[int], threads: int) -> Session:
    """The graph in ``path``, run by ``engine`` (one of `ENGINES`, with its precision) on ``device``: for CUDA on each of
    ``indices``, on CPU for ``threads`` callers at a time."""
    if engine.startswith("openvino"):
        from .openvino import OpenVino

        return OpenVino(path, precision=engine.partition(":")[2], threads=threads)
    if device == "cuda":
        from .cuda import Cuda

        return Spread([Cuda(path, index) for index in indices])
    from .onnxruntime import OnnxRuntime

    return OnnxRuntime(path)


def check_engine(engine: str) -> None:
    """`InputError` for an engine that there is not."""
    if engine not in ("auto", *ENGINES):
        raise InputError(f"engine: expected 'auto' or one of {', '.join(ENGINES)}, found {engine!r}")


def choose_device(device: str, engine: str = "auto") -> tuple[str, tuple[int, ...]]:
    """(``cpu``, ()), or ``cuda`` and the numbers of the devices, for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or
    ``cuda:N,M``; `DeviceError` where what was asked for is not there."""
    kind, colon, numbers = device.partition(":")
    parts = numbers.split(",") if colon else ["0"]
    if (
        kind not in ("auto", "cpu", "cuda")
        or (colon and kind != "cuda")
        or not all(part.isascii() and part.isdecimal() for part in parts)
        or len({int(part) for part in parts}) < len(parts)
    ):
        raise DeviceError(f"device: expected 'auto', 'cpu', 'cuda', 'cuda:N' or 'cuda:N,M', found {device!r}")
    if engine.startswith("openvino"):
        if kind == "cuda":
            raise DeviceError(f"device {device!r}: openvino computes on CPU here; load with engine='onnxruntime'")
        return "cpu", ()
    if kind == "cpu":
        return "cpu", ()
    from .onnxruntime import has_cuda

    if has_cuda():
        return "cuda", tuple(int(part) for part in parts)
    if kind == "cuda":
        raise DeviceError(
            f"device {device!r}: this onnxruntime has no CUDA provider; run  pip uninstall onnxruntime && pip install 'embedkit-onnx[gpu]'"
            "  or load with device='cpu'"
        )
    return "cpu", ()


def choose_variant(variant: str, available: Mapping[str, object], device: str, engine: str = "onnxruntime") -> str:
    """The variant asked for, or for ``auto`` the fastest that suits the device; `DeviceError` names what the bundle
    has, or that openvino reads fp32 only."""
    if variant != "auto" and variant not in available:
        raise DeviceError(
            f"variant {variant!r}: this bundle has {', '.join(available)}; load one of them, or export again with --variants"
        )
    if engine.startswith("openvino"):
        if variant not in ("auto", "fp32") or "fp32" not in available:
            raise DeviceError(
                f"variant {variant!r}: openvino reads the variant fp32, of which it makes its own 8 bits, and this bundle has "
                f"{', '.join(available)}; load with variant='fp32', engine='openvino:int8', or with engine='onnxruntime'"
            )
        return "fp32"
    if variant != "auto":
        return variant
    return next((name for name in _PREFERENCE[device] if name in available), next(iter(available)))
