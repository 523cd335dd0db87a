"""Sessions of a graph that is in memory, or too large for that."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from embedkit.runtime.engines.onnxruntime import keep_products_exact
from embedkit_export.graphs.attention.blocks import LEAST, cut_attention
from embedkit_export.tensors import Feed

IN_MEMORY_BYTES = 1 << 27
"""Bytes of weights from which a graph goes through a file, of which a session maps what it does not arrange anew: a message has them
three times, and ends at 2 GiB."""


def open_session(model: ir.Model, outputs: Sequence[str] = (), feeds: Sequence[Feed] = ()) -> Any:
    """A CPU session of the graph with further values as outputs, whose attention is cut where one of the ``feeds`` is long;
    the model is left as it was."""
    return opened(tapped(model, outputs, feeds))


def tapped(model: ir.Model, outputs: Sequence[str], feeds: Sequence[Feed]) -> ir.Model:
    """The graph that `open_session` opens: a copy with the same weights."""
    copied = model.clone()  # a value that was an output for a while may keep traces of it
    by_name = {value.name: value for node in copied.graph for value in node.outputs}
    present = {value.name for value in copied.graph.outputs}
    copied.graph.outputs.extend(by_name[name] for name in outputs if name not in present)
    if any(max(array.shape[1:], default=0) > LEAST for feed in feeds for array in feed.values()):
        cut_attention(copied)
    return copied


def opened(model: ir.Model) -> Any:
    """A CPU session of the graph."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    keep_products_exact(options)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # numpy computes between two runs
    tensors = [v.const_value for v in model.graph.initializers.values() if v.const_value is not None]
    elsewhere = any(isinstance(tensor, ir.ExternalTensor) for tensor in tensors)
    if sum(tensor.nbytes for tensor in tensors) < IN_MEMORY_BYTES and not elsewhere:
        source: Any = ir.to_proto(model).SerializeToString()
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        ir.save(model, path, external_data="graph.onnx.data")
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
