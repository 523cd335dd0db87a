"""onnxruntime on CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.errors import BundleError, MissingExtraError

from .base import Device, Engine, Session

# On CPU the fused operator takes several times as long as Add and LayerNormalization apart.
_SLOWER_FUSIONS = ["SkipLayerNormFusion", "BiasSkipLayerNormFusion", "EmbedLayerNormFusion"]


class OnnxRuntime(Session):
    """A graph on CPU; each call computes on its caller's thread only."""

    def __init__(self, path: Path, *, profile: Path | None = None) -> None:
        ort = onnxruntime()
        options = session_options()
        options.enable_mem_pattern = False
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
        self._part = ort.RunOptions()  # what other outputs need is not computed
        self._part.add_run_config_entry("only_execute_path_to_fetches", "1")
        self._all = len(self._session.get_outputs())

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The named outputs, float32."""
        options = self._part if len(outputs) < self._all else None
        found: list[npt.NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs), options)
        return found

    def end_profiling(self) -> str:
        """The file with the times of each operator, where the session was made with ``profile``."""
        return str(self._session.end_profiling())


def session_options() -> Any:
    """Options of a session that starts no threads of its own and logs errors only."""
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Where a CPU's 8-bit products of unsigned and signed numbers overflow (x86 without VNNI), unsigned ones are multiplied.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


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
