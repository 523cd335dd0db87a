"""onnxruntime on CPU."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.errors import BundleError, MissingExtraError

from .base import Device, Engine, Session

# On CPU the fused operator takes several times as long as Add and LayerNormalization apart.
_SLOWER_FUSIONS = ["SkipLayerNormFusion", "BiasSkipLayerNormFusion", "EmbedLayerNormFusion"]

_SMALL = 1 << 27
"""Bytes of a graph that may be in memory twice."""


class OnnxRuntime(Session):
    """A graph on CPU; each call computes on its caller's thread, with ``threads`` - 1 others that all calls share."""

    def __init__(self, path: Path, *, profile: Path | None = None, threads: int = 1) -> None:
        ort = onnxruntime()
        options = session_options()
        options.intra_op_num_threads = threads
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "0"
        )  # they wait without taking a core's time
        options.enable_mem_pattern = False
        # Else arrays are kept for later ones of their size: 26 % more memory for 32,768 tokens of Qwen3-0.6B's size, 10 % more for
        # mixed texts of MiniLM, and no time saved.
        options.enable_mem_reuse = False
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        try:
            self._session = ort.InferenceSession(
                str(path),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_SLOWER_FUSIONS,
                enable_fallback=0,  # which prints, and tries the same once more
            )
        except Exception as error:
            raise BundleError(f"{path}: onnxruntime {ort.__version__} cannot load this graph: {error}") from error
        self._path = path
        self._part = ort.RunOptions()  # what other outputs need is not computed
        self._part.add_run_config_entry("only_execute_path_to_fetches", "1")
        self._all = len(self._session.get_outputs())

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The named outputs, float32."""
        options = self._part if len(outputs) < self._all else None
        found: list[npt.NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs), options)
        return found

    def on_threads(self, count: int) -> OnnxRuntime | None:
        """The same graph once more, on several threads, where its file and those of its weights are small."""
        beside = [file for file in self._path.parent.iterdir() if file.name.startswith(self._path.name)]
        small = sum(file.stat().st_size for file in beside) <= _SMALL
        return OnnxRuntime(self._path, threads=count) if small else None

    def end_profiling(self) -> str:
        """The file with the times of each operator, where the session was made with ``profile``."""
        return str(self._session.end_profiling())


def session_options() -> Any:
    """Options of a session that starts no threads of its own and logs errors only."""
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    keep_products_exact(options)
    return options


def keep_products_exact(options: Any) -> None:
    """Let a session multiply unsigned 8-bit numbers where the products of unsigned and signed ones overflow (x86 without VNNI).
    Where they do not, the same numbers would take two to three times as long."""
    if products_overflow():
        options.add_session_config_entry("session.x64quantprecision", "1")


@functools.cache
def products_overflow() -> bool:
    """Whether the sum of two products of an unsigned and a signed 8-bit number is cut to 16 bits here: found by computing the largest,
    of one row and of several, which have kernels of their own."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(_PRODUCT, options, providers=["CPUExecutionProvider"])
    signed = np.full((_INNER, _INNER), 127, np.int8)
    found = [session.run(None, {"a": np.full((rows, _INNER), 255, np.uint8), "b": signed})[0] for rows in (1, 8)]
    return any((product != _INNER * 255 * 127).any() for product in found)


_INNER = 64
_PRODUCT = (
    b'\x08\x04:b\n\x18\n\x01a\n\x01b\x12\x01y"\rMatMulInteger\x12\x01gZ\x15\n\x01a\x12\x10\n\x0e\x08\x02\x12\n\n\x03\x12\x01m'
    b"\n\x03\x12\x01kZ\x15\n\x01b\x12\x10\n\x0e\x08\x03\x12\n\n\x03\x12\x01k\n\x03\x12\x01nb\x15\n\x01y\x12\x10\n\x0e\x08\x06\x12\n"
    b"\n\x03\x12\x01m\n\x03\x12\x01nB\x04\n\x00\x10\n"
)
"""A graph of one operator: y = MatMulInteger(a, b), (m, k) uint8 and (k, n) int8."""


def has_cuda() -> bool:
    """Whether the installed onnxruntime was built with CUDA."""
    return "CUDAExecutionProvider" in onnxruntime().get_available_providers()


def onnxruntime() -> Any:
    """The package; `MissingExtraError` where there is none."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu", "encoding (use the extra gpu instead of cpu for CUDA)") from error
    return onnxruntime


def _open(path: Path, precision: str, device: Device, threads: int) -> Session:
    return OnnxRuntime(path)


ENGINE = Engine("onnxruntime", "onnxruntime", _open)
