"""OpenVINO on CPU: reads the fp32 graph, and computes its products in f32, bf16 or 8 bits."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.graphs.external_data import external_files
from embedkit.errors import BundleError, MissingExtraError

from .base import Device, Engine, Session

WIDTH = 16
"""Rows are padded to a multiple of it: the engine sums a row of the softmax in so many lanes and what is left over apart,
so that only among these widths the last bits do not depend on the padding."""

GROUP = 64
"""Numbers of a weight's row, and of an activation's, that share a scale in 8 bits."""


@cache
def _core(process: int) -> Any:
    """The one of a process, which is kept until its end: where the last one goes, the memory goes on which OpenVINO lets signals be
    handled, and the next signal that Python handles, such as Ctrl-C, would end the process. A forked process has one of its own."""
    import openvino as ov

    return ov.Core()


class OpenVino(Session):
    """A graph on CPU for ``threads`` callers at a time; others wait.

    ``precision`` ``f32`` is that of the file; ``bf16`` rounds what enters products to 8 significant bits; ``int8`` has
    weights of 8 bits, rounded here, and activations that are quantised while it runs, both in groups of `GROUP`.
    """

    def __init__(self, path: Path, *, precision: str, threads: int) -> None:
        self._path, self._precision, self._threads = path, precision, threads
        self._compile()
        _open.add(self)

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The named outputs, float32."""
        if self._compiled is None:
            with self._lock:
                if self._compiled is None:
                    self._compile()
        for name, size in self._sizes.items():  # openvino reads what lies behind a table
            if name in inputs and not inputs[name].max(initial=0) < size:
                raise IndexError(f"{name}: {inputs[name].max()} is no row of the graph's table, which has {size}")
        request = self._idle.get()
        try:
            found = request.infer(dict(inputs))
            return [np.array(found[name], dtype=np.float32) for name in outputs]
        finally:
            self._idle.put(request)

    def widths(self, lengths: npt.NDArray[np.int64], longest: int) -> npt.NDArray[np.int64]:
        """Rounded up to a multiple of `WIDTH`."""
        return np.maximum(lengths, np.minimum(-(-lengths // WIDTH) * WIDTH, longest))

    def _compile(self) -> None:
        ov = openvino()
        # A stream is a thread that computes one request at a time; not pinned, since other processes would pin theirs to
        # the same CPUs.
        options = {
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": self._threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if self._precision == "bf16" else "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(GROUP if self._precision == "int8" else 0),
        }
        try:
            core = _core(os.getpid())
            with gathered(self._path) as path:
                model = core.read_model(str(path))
            self._sizes = table_sizes(model)
            if self._precision == "int8":
                quantize_weights(model)
            self._compiled: Any = core.compile_model(model, "CPU", options)
        except Exception as error:
            raise BundleError(f"{self._path}: openvino {ov.__version__} cannot load this graph: {error}") from error
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._threads):
            self._idle.put(self._compiled.create_infer_request())
        self._lock = threading.Lock()

    def _forked(self) -> None:
        """Forget what belongs to the parent's threads, without ending them."""
        _parents.append((self._compiled, self._idle))
        self._compiled, self._idle, self._lock = None, SimpleQueue(), threading.Lock()


@contextmanager
def gathered(path: Path) -> Iterator[Path]:
    """A path of the graph beside which its external data lie: ``path`` itself, or one in a folder for a moment where the data
    are links out of the folder, which the engine does not follow. Of a file on another disk a copy is made there."""
    files = [path, *(path.parent / name for name in sorted(external_files(path)))]
    if len(files) == 1 or all(file.resolve().parent == path.parent.resolve() for file in files[1:]):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            _link(file.resolve(), Path(folder) / file.name)
        yield Path(folder) / path.name


def _link(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def table_sizes(model: Any) -> dict[str, int]:
    """The rows of the constant tables in which inputs of the graph are looked up, by the input's name; of several the
    fewest."""
    found: dict[str, int] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Gather":
            continue
        table, ids, axis = (_behind(node.input_value(i)) for i in range(3))
        if {table.get_type_name(), axis.get_type_name()} != {"Constant"} or ids.get_type_name() != "Parameter":
            continue
        rows = int(node.input_value(0).get_shape()[int(axis.get_data().item())])
        for name in ids.output(0).get_names():
            found[name] = min(rows, found.get(name, rows))
    return found


def _behind(value: Any) -> Any:
    """The node that a value comes from, conversions of its type left out."""
    node = value.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node


def quantize_weights(model: Any) -> int:
    """Put 8-bit weights, with a scale for each group of a row, in the place of the constant ones of all products whose
    inner dimension is made of whole groups; their number."""
    import openvino.opset13 as ops

    changed = 0
    for node in model.get_ordered_ops():
        weights = node.input_value(1).get_node() if node.get_type_name() == "MatMul" else None
        if weights is None or weights.get_type_name() != "Constant":
            continue
        attributes = node.get_attributes()
        values = weights.get_data()
        if values.ndim != 2 or values.dtype != np.float32:
            continue
        values = values if attributes["transpose_b"] else values.T
        rows, inner = values.shape
        if inner % GROUP:
            continue
        groups = values.reshape(rows, inner // GROUP, GROUP)
        scales = np.maximum(np.abs(groups).max(axis=-1, keepdims=True) / 127, 1e-12).astype(np.float32)
        codes = ops.constant(np.rint(groups / scales).astype(np.int8))
        whole = ops.multiply(ops.convert(codes, "f32"), ops.constant(scales))
        whole = ops.reshape(whole, ops.constant(np.array([rows, inner], dtype=np.int64)), False)
        product = ops.matmul(node.input_value(0), whole, attributes["transpose_a"], True)
        product.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(product.output(0))
        changed += 1
    model.validate_nodes_and_infer_types()
    return changed


def openvino() -> Any:
    """The package; `MissingExtraError` where there is none."""
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino", "encoding with engine='openvino'") from error
    return openvino


_open: weakref.WeakSet[OpenVino] = weakref.WeakSet()
_parents: list[Any] = []  # in a forked process: objects whose threads are not there, which could not end


def _after_fork() -> None:
    for session in list(_open):
        session._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _open_graph(path: Path, precision: str, device: Device, threads: int) -> Session:
    return OpenVino(path, precision=precision, threads=threads)


ENGINE = Engine(
    "openvino",
    "openvino",
    _open_graph,
    variants=("fp32",),
    preferred=("fp32",),
    precisions=("f32", "bf16", "int8"),
    rivals={"fp32": ("f32",), "*": ("int8", "bf16")},
)
