"""Token vectors that stay with rows: the same bytes, and no Reshape around a product."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from embedkit.runtime.engines.onnxruntime import OnnxRuntime
from embedkit_export.graphs.rows import as_rows

TEXT = """
<ir_version: 8, opset_import: ["" : 20]>
block (int64[batch, tokens] ids, float[batch, tokens, 8] x, float[1, 1, 8] once) => (float[batch, tokens, 8] out)
<int64[2] rows = {-1, 8}, int64[1] eight = {8}, int64[4] heads = {0, 0, 2, 4},
 int64[1] one = {1}>
{
    lead = Shape <start = 0, end = 2> (ids)
    whole = Concat <axis = 0> (lead, eight)
    x2 = Reshape (x, rows)
    p = MatMul (x2, w)
    p3 = Reshape (p, whole)
    biased = Add (p3, wide)
    active = Gelu (biased)
    a2 = Reshape (active, rows)
    q = MatMul (a2, w)
    q3 = Reshape (q, whole)
    sum = Add (q3, x)
    norm = LayerNormalization <axis = -1> (sum, g, b)
    n2 = Reshape (norm, rows)
    r = MatMul (n2, w)
    r3 = Reshape (r, whole)
    TAIL
}
"""
TAILS = {
    "residual": "out = Add (r3, norm)",
    "another shape": "out = Add (r3, once)",
    "between tokens": "out = Softmax <axis = 1> (r3)",
    "heads that take dimensions": "split = Reshape (r3, heads)\n turned = Transpose <perm = [0, 1, 3, 2]> (split)\n"
    "out = Reshape (turned, whole)",
}


@pytest.mark.parametrize("tail", TAILS)
def test_rows_give_the_same_bytes(tail: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    proto = onnx.parser.parse_model(TEXT.replace("TAIL", TAILS[tail]))
    for name, shape in {"w": (8, 8), "b": (8,), "g": (8,), "wide": (1, 1, 8)}.items():
        array = rng.normal(size=shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    _name_dimensions(proto)
    before = _run(proto, tmp_path)
    model = ir.from_proto(proto)
    reshapes = Counter(node.op_type for node in model.graph)["Reshape"]
    assert as_rows(model) >= 4, "the bias, the activation, the residual addition and the normalisation"
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    assert [out.name for out in after.graph.output] == ["out"]
    kinds = Counter(node.op_type for node in after.graph.node)
    assert kinds["Reshape"] < reshapes
    for rows, found in _run(after, tmp_path).items():
        assert found.shape == before[rows].shape
        assert found.tobytes() == before[rows].tobytes(), rows
    assert as_rows(model) == 0, "once is enough"


def _name_dimensions(proto: onnx.ModelProto) -> None:
    """As a captured graph has them: shape inference does not follow a Reshape by numbers that are computed."""
    for value in proto.graph.value_info:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 3 and value.name != "split":
            dims[0].dim_param, dims[1].dim_param = "batch", "tokens"


def _run(proto: onnx.ModelProto, folder: Path) -> dict[tuple[int, int], np.ndarray]:
    """What the runtime's session makes of it, which fuses no residual addition with a normalisation."""
    onnx.save(proto, folder / "model.onnx")
    session = OnnxRuntime(folder / "model.onnx")
    out = {}
    for rows in ((1, 2), (3, 5)):
        own = np.random.default_rng(rows)
        feed = {
            "ids": np.zeros(rows, np.int64),
            "x": own.normal(size=(*rows, 8)).astype(np.float32),
            "once": own.normal(size=(1, 1, 8)).astype(np.float32),
        }
        out[rows] = session.run(feed, ["out"])[0]
    return out
