"""Running graphs of encoders."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort


def run(model: ir.Model, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    out = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask})[0]
    return np.asarray(out)
