"""A query's scores have the same bytes however many keys there are, and a text's vector whatever it is padded to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import embedkit_export
from embedkit import Encoder
from embedkit_export.graphs.attention.panels import WIDTH, sum_in_panels
from helpers import models

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def scores(width: int, count: int | str = "n") -> ir.Model:
    """The product of queries and keys of ``width`` numbers."""
    q = ir.Value(name="q", shape=ir.Shape(["b", 3, "m", width]), type=FLOAT)
    k = ir.Value(name="k", shape=ir.Shape(["b", 3, width, count]), type=FLOAT)
    product = ir.Node("", "MatMul", [q, k], name="product")
    out = product.outputs[0]
    out.name, out.shape, out.type = "y", ir.Shape(["b", 3, "m", count]), FLOAT
    return ir.Model(ir.Graph([q, k], [out], nodes=[product], name="g", opset_imports={"": 21}), ir_version=10)


@pytest.mark.parametrize("width", [WIDTH + 1, 192, 256, 300, 512])
def test_scores_do_not_depend_on_the_number_of_keys(width: int) -> None:
    model = scores(width)
    assert sum_in_panels(model) == 1
    assert model.graph.outputs[0].name == "y"
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(width)
    q, k = random.standard_normal((2, 3, 5, width), np.float32), random.standard_normal((2, 3, width, 300), np.float32)
    whole = session.run(None, {"q": q, "k": k})[0]
    np.testing.assert_allclose(whole, q.astype(np.float64) @ k, atol=1e-4)
    for count in (2, 7, 16, 31, 32, 33, 63, 64, 65, 128, 129):
        found = session.run(None, {"q": q, "k": np.ascontiguousarray(k[..., :count])})[0]
        same = np.ascontiguousarray(whole[..., :count]).tobytes()
        assert found.tobytes() == same, f"{count} keys; one alone is another operation, and no text is so short"


def test_other_products_are_left_alone() -> None:
    for model in (scores(WIDTH), scores(256, 40)):
        before = [one.op_type for one in model.graph]
        assert sum_in_panels(model) == 0
        assert [one.op_type for one in model.graph] == before


def test_an_export_of_wide_heads_has_them_in_panels(tmp_path: Path) -> None:
    pair = models.make("embedding-gemma", layers=2, head_dim=256, max_position_embeddings=600)
    embedkit_export.export(pair, output=tmp_path / "bundle", variants=["fp32"], max_tokens=550, pooling="mean")
    graph = ir.load(tmp_path / "bundle" / "model.fp32.onnx").graph
    panels = {str(value.name) for one in graph.all_nodes() for value in one.outputs if ".panel128" in str(value.name)}
    assert panels, "vectors of a trained model would change by about 1e-6 where a batch is padded beyond 64 tokens"
    encoder = Encoder.load(tmp_path / "bundle", engine="onnxruntime")
    texts = ["one two three " * count for count in (1, 4, 20, 21, 22, 60, 180)]
    for text, vector in zip(texts, encoder.encode(texts), strict=True):
        assert encoder.encode([text])[0].tobytes() == vector.tobytes()
