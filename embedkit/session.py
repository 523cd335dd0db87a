"""The only importer of onnxruntime: devices, threads, variants."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BundleError, DeviceError, MissingExtraError

# On CPU the fused operator takes several times as long as Add and LayerNormalization apart.
_SLOWER_FUSIONS = ["SkipLayerNormFusion", "BiasSkipLayerNormFusion", "EmbedLayerNormFusion"]
_PREFERENCE = {"cpu": ("int8", "fp32"), "cuda": ("fp16", "fp32")}


def cpu_count() -> int:
    """The CPUs this process may use: its affinity, and where a container limits its CPU time, no more than that."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        if quota != "max":
            count = min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, count)


def choose_device(device: str) -> tuple[str, int]:
    """(``cpu`` or ``cuda``, index) for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; `DeviceError` where what was asked
    for is not there."""
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdecimal())):
        raise DeviceError(f"device: expected 'auto', 'cpu', 'cuda' or 'cuda:N', found {device!r}")
    has_cuda = "CUDAExecutionProvider" in _onnxruntime().get_available_providers()
    if kind == "cuda" and not has_cuda:
        raise DeviceError(
            f"device {device!r}: this onnxruntime has no CUDA provider; run  pip uninstall onnxruntime && pip install 'embedkit-onnx[gpu]'"
            "  or load with device='cpu'"
        )
    return ("cuda" if kind == "cuda" or (kind == "auto" and has_cuda) else "cpu"), int(index or 0)


def choose_variant(variant: str, available: Mapping[str, object], device: str) -> str:
    """The variant asked for, or for ``auto`` the fastest that suits the device; `DeviceError` names what the bundle
    has."""
    if variant != "auto":
        if variant not in available:
            raise DeviceError(
                f"variant {variant!r}: this bundle has {', '.join(available)}; load one of them, or export again with --variants"
            )
        return variant
    return next((name for name in _PREFERENCE[device] if name in available), next(iter(available)))


class Session:
    """One loaded graph. `run` may be called by several threads at once; on CPU each call computes on its caller's
    thread only."""

    def __init__(self, path: Path, *, device: str, index: int = 0, profile: Path | None = None) -> None:
        ort = _onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        providers: list[Any] = ["CPUExecutionProvider"]
        if device == "cuda":
            providers = [("CUDAExecutionProvider", {"device_id": index}), *providers]
        try:
            disabled = _SLOWER_FUSIONS if device == "cpu" else []
            self._session = ort.InferenceSession(str(path), options, providers=providers, disabled_optimizers=disabled)
        except Exception as error:
            raise BundleError(f"{path}: onnxruntime {ort.__version__} cannot load this graph: {error}") from error
        if device == "cuda" and self._session.get_providers()[0] != "CUDAExecutionProvider":
            raise DeviceError(
                f"device 'cuda:{index}': onnxruntime could not start CUDA (driver or libraries); load with device='cpu'"
            )
        self._output = self._session.get_outputs()[0].name

    def end_profiling(self) -> str:
        """The file with the times of each operator, where the session was made with ``profile``."""
        return str(self._session.end_profiling())

    def run(self, inputs: Mapping[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.float32]:
        """The graph's one output, (rows, dim) float32."""
        result: npt.NDArray[np.float32] = self._session.run([self._output], dict(inputs))[0]
        return result


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu", "encoding (use the extra gpu instead of cpu for CUDA)") from error
    return onnxruntime
