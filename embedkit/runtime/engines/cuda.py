"""onnxruntime on a CUDA device: tensors stay there between runs, few shapes are seen, and nothing moves to the CPU
unsaid."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.errors import BundleError, DeviceError

from . import onnxruntime as cpu
from .base import Device, Engine, Session, Spread
from .onnxruntime import onnxruntime, session_options

_HEAVY = ("MatMul", "Gemm", "Attention", "LayerNorm", "Softmax", "Gelu", "QuantizeLinear", "Conv")
_KEPT_SHAPES = 64

# Per octave two widths and two row counts: kernels are chosen and memory is laid out once for each shape.
_STEPS = np.array(sorted({1, 2, *(base << n for base in (2, 3) for n in range(24))}), dtype=np.int64)
_NARROWEST = 16


class Cuda(Session):
    """A graph on the CUDA device ``index``. `DeviceError` where CUDA cannot be started there, or where it cannot compute
    one of the graph's costly operators. With the ``provider`` of the CPU it does the same there."""

    def __init__(self, path: Path, index: int, *, provider: str = "CUDAExecutionProvider") -> None:
        ort = onnxruntime()
        self._ort, self._device, self._index = ort, "cuda" if provider.startswith("CUDA") else "cpu", index
        options = session_options()
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._device == "cuda":
            providers.insert(0, (provider, {"device_id": index}))
        try:
            self._session = ort.InferenceSession(
                str(path),
                options,
                providers=providers,
                enable_fallback=0,
            )
        except Exception as error:
            raise BundleError(
                f"{path}: onnxruntime {ort.__version__} cannot load this graph on cuda:{index}: {error}; load with device='cpu'"
            ) from error
        if self._session.get_providers()[0] != provider:
            raise DeviceError(
                f"device 'cuda:{index}': onnxruntime could not start CUDA (no such device, driver or libraries); load with device='cpu'"
            )
        self._session.disable_fallback()
        check_assignment(path, provider, _assigned(self._session))
        self._lock = threading.Lock()
        self._bound: OrderedDict[Any, tuple[Any, dict[str, Any]]] = OrderedDict()

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The named outputs, float32. One call at a time computes."""
        with self._lock:
            binding, values = self._binding(inputs, outputs)
            for name, array in inputs.items():
                values[name].update_inplace(np.ascontiguousarray(array))
            self._session.run_with_iobinding(binding)
            found: list[npt.NDArray[np.float32]] = binding.copy_outputs_to_cpu()
            return found

    def widths(self, lengths: npt.NDArray[np.int64], longest: int) -> npt.NDArray[np.int64]:
        """Rounded up, two widths an octave."""
        rounded = _STEPS[np.searchsorted(_STEPS, np.maximum(lengths, _NARROWEST))]
        return np.maximum(lengths, np.minimum(rounded, longest))

    def rows(self, count: int) -> int:
        """Rounded up, two counts an octave."""
        return int(_STEPS[np.searchsorted(_STEPS, count)])

    def _binding(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> tuple[Any, dict[str, Any]]:
        """The input tensors of these shapes on the device, and the binding that names them and the outputs; those used
        last are kept."""
        key = tuple(outputs), tuple((name, array.shape) for name, array in inputs.items())
        if key not in self._bound:
            binding = self._session.io_binding()
            values = {
                name: self._ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self._device, self._index)
                for name, array in inputs.items()
            }
            for name, value in values.items():
                binding.bind_ortvalue_input(name, value)
            for name in outputs:
                binding.bind_output(name, self._device, self._index)
            self._bound[key] = binding, values
            if len(self._bound) > _KEPT_SHAPES:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return self._bound[key]


def check_assignment(path: Path, provider: str, assigned: Iterable[tuple[str, str]]) -> None:
    """`DeviceError` where a costly operator of ``assigned``, pairs of a provider and an operator, is left to another
    provider. Shapes and indices are computed on the CPU, which is right."""
    left = Counter(op for other, op in assigned if other != provider and any(heavy in op for heavy in _HEAVY))
    if left:
        found = ", ".join(f"{count} {op}" for op, count in left.most_common())
        raise DeviceError(
            f"{path}: CUDA has no kernel for operators of this variant and would leave them to the CPU ({found}); load fp16 or fp32 "
            "(embedkit-export --variants), or load with device='cpu'"
        )


def _assigned(session: Any) -> list[tuple[str, str]]:
    if not hasattr(session, "get_provider_graph_assignment_info"):
        raise DeviceError(
            "this onnxruntime cannot tell which operators CUDA leaves to the CPU: run  pip install --upgrade 'embedkit-onnx[gpu]'"
        )
    return [
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def _open(path: Path, precision: str, device: Device, threads: int) -> Session:
    return Spread([Cuda(path, index) for index in device.indices])


ENGINE = Engine(
    "onnxruntime",
    "onnxruntime",
    _open,
    device="cuda",
    available=lambda: cpu.has_cuda(),
    missing="this onnxruntime has no CUDA provider; run  pip uninstall onnxruntime && pip install 'embedkit-onnx[gpu]'"
    "  or load with device='cpu'",
    preferred=("fp16", "fp32"),
)
