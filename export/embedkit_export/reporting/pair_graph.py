"""The pair head as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from embedkit.errors import ExportError
from embedkit.runtime.engines.onnxruntime import OnnxRuntime
from embedkit_export import files
from embedkit_export.graphs.capture import OPSET
from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.modules.pair_head import PairHead
from embedkit_export.quiet import quiet, reason

PAIR_FILE = "pair.onnx"


def write_pair_graph(head: PairHead, vectors: np.ndarray, folder: Path, *, parity: float) -> None:
    """Write the graph of a head into ``folder``, once it agrees with torch on pairs of ``vectors`` (n, dim) and scores each
    pair the same alone. Raises `ExportError`."""
    with quiet(), torch.no_grad():
        example = torch.from_numpy(vectors[:3].copy())
        rows = torch.export.Dim("rows")
        try:
            program = torch.onnx.export(
                head,
                (example, example.flip(0)),
                dynamo=True,
                dynamic_shapes=({0: rows}, {0: rows}),
                input_names=["left", "right"],
                output_names=["score"],
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:
            raise ExportError(f"pair: the head cannot be captured as a graph: {reason(error)}") from error
        assert program is not None
        files.save(own_copy(program.model), folder, PAIR_FILE)
        left, right = vectors, vectors[::-1].copy()
        expected = head.stages(head.read(torch.from_numpy(left), torch.from_numpy(right))).numpy()
    session = OnnxRuntime(folder / PAIR_FILE)
    found = session.run({"left": left, "right": right}, ["score"])[0]
    difference = float(np.abs(found - expected).max())
    if not difference < parity * max(1.0, float(np.abs(expected).max())):
        raise ExportError(f"pair: the graph's scores differ from torch's by {difference:.2e}")
    for i in range(len(left)):
        alone = session.run({"left": left[i : i + 1], "right": right[i : i + 1]}, ["score"])[0]
        if alone.tobytes() != found[i : i + 1].tobytes():
            raise ExportError("pair: a pair's score depends on the pairs scored with it")
