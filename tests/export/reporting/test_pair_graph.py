"""The pair head as a file; the reference is torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from embedkit.errors import ExportError
from embedkit.runtime.engines.onnxruntime import OnnxRuntime
from embedkit_export.modules.pair_head import PairHead
from embedkit_export.reporting.pair_graph import PAIR_FILE, write_pair_graph


def test_the_file_scores_as_torch_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer, vectors = nn.Linear(8, 1), np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    write_pair_graph(PairHead(["product", "difference"], layer).eval(), vectors, tmp_path, parity=1e-4)
    u, v = vectors, np.roll(vectors, 1, axis=0)
    found = OnnxRuntime(tmp_path / PAIR_FILE).run({"left": u, "right": v}, ["score"])[0]
    with torch.no_grad():
        expected = layer(torch.from_numpy(np.concatenate([u * v, np.abs(u - v)], axis=1))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ExportError, match="differ from torch's"):
        write_pair_graph(PairHead(["product", "difference"], layer).eval(), vectors, tmp_path, parity=0.0)
