"""What the inputs of the quantisable products look like on typical texts, gathered one text at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from embedkit.runtime.engines.onnxruntime import keep_products_exact
from embedkit_export.graphs.attention.blocks import LEAST, cut_attention
from embedkit_export.tensors import Feed, Floats

SAMPLE_ROWS = 1024
"""Rows of each input that are kept as they are."""
SECOND_MOMENT_BYTES = 3 << 30
"""Most memory for second moments; inputs met after that have only their kept rows."""
IN_MEMORY_BYTES = 1 << 30
"""Bytes of weights from which a graph goes through a file: one protobuf message ends at 2 GiB."""
_ROWS_AT_ONCE = 512  # one large product instead of many thin ones


@dataclass(frozen=True)
class Statistics:
    """The rows x (k numbers each) of one value over the calibration texts."""

    peak: Floats
    """(k,) max|x| of each channel."""
    sample: Floats
    """(up to `SAMPLE_ROWS`, k) rows, equally many of each text."""
    second: Floats | None = None
    """(k, k) mean of the outer product x x^T of the rows, each divided by its root mean square (see `levels`); None
    where it would not fit into memory."""

    def moment(self) -> Floats:
        """(k, k) the second moment, from the kept rows where there is no other."""
        if self.second is not None:
            return self.second
        even = self.sample / levels(self.sample)
        return np.asarray(even.T @ even / max(1, len(even)), np.float32)


def levels(rows: Floats) -> Floats:
    """(m, k) -> (m, 1) root mean square of each row. What follows a product is normalised token by token, so that the
    error of a token counts relative to its size: a few tokens have inputs a hundred times as large as the others."""
    return np.asarray(np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + 1e-20), np.float32)


def calibrate(model: ir.Model, feeds: Sequence[Feed], names: Sequence[str]) -> dict[str, Statistics]:
    """Statistics of the values called ``names`` while the graph runs ``feeds``.

    Each feed holds every graph input by name, for one text (a padded token would be counted as a real one). Only sums
    over the rows and the kept rows stay in memory.
    """
    names = list(dict.fromkeys(names))
    if not names:  # onnxruntime takes none for all
        return {}
    session = open_session(model, names, feeds)
    share = max(1, -(-SAMPLE_ROWS // max(1, len(feeds))))
    rng = np.random.default_rng(0)
    sums: dict[str, _Sums] = {}
    room = SECOND_MOMENT_BYTES
    for feed in feeds:
        for name, value in zip(names, session.run(names, dict(feed)), strict=True):
            rows = np.asarray(value, dtype=np.float32).reshape(-1, value.shape[-1])
            if name not in sums:
                size = 4 * rows.shape[1] ** 2
                sums[name] = _Sums(rows.shape[1], with_second=size <= room)
                room -= size if size <= room else 0
            sums[name].add(rows, rows[np.sort(rng.permutation(len(rows))[:share])])
    return {name: found.statistics() for name, found in sums.items()}


def open_session(model: ir.Model, outputs: Sequence[str] = (), feeds: Sequence[Feed] = ()) -> Any:
    """A CPU session of the graph with further values as outputs, whose attention is cut where one of the ``feeds`` is long;
    the model is left as it was."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    keep_products_exact(options)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # numpy computes between two runs
    tapped = model.clone()  # a value that was an output for a while may keep traces of it; weights are shared
    graph = tapped.graph
    by_name = {value.name: value for node in graph for value in node.outputs}
    present = {value.name for value in graph.outputs}
    graph.outputs.extend(by_name[name] for name in outputs if name not in present)
    if any(max(array.shape[1:], default=0) > LEAST for feed in feeds for array in feed.values()):
        cut_attention(tapped)
    size = sum(v.const_value.nbytes for v in graph.initializers.values() if v.const_value is not None)
    elsewhere = any(isinstance(v.const_value, ir.ExternalTensor) for v in graph.initializers.values())
    if size < IN_MEMORY_BYTES and not elsewhere:
        source: Any = ir.to_proto(tapped).SerializeToString()
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        ir.save(tapped, path, external_data="graph.onnx.data")
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class _Sums:
    """Running sums over the rows of one value."""

    def __init__(self, width: int, *, with_second: bool) -> None:
        self.rows = 0
        self.peak = np.zeros(width, np.float32)
        self.second = np.zeros((width, width), np.float32) if with_second else None
        self.waiting: list[Floats] = []
        self.kept: list[Floats] = []

    def add(self, rows: Floats, kept: Floats) -> None:
        self.rows += len(rows)
        np.maximum(self.peak, np.abs(rows).max(axis=0), out=self.peak)
        self.kept.append(kept)
        if self.second is not None:
            self.waiting.append(rows / levels(rows))
            if sum(map(len, self.waiting)) >= _ROWS_AT_ONCE:
                self._multiply()

    def _multiply(self) -> None:
        if self.second is not None and self.waiting:
            rows = np.concatenate(self.waiting)
            self.waiting.clear()
            self.second += rows.T @ rows

    def statistics(self) -> Statistics:
        self._multiply()
        kept = np.concatenate(self.kept)[:SAMPLE_ROWS]
        second = None if self.second is None else self.second / np.float32(self.rows)
        return Statistics(self.peak, kept, second)
