"""Which products can be quantised."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import onnx.shape_inference
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from embedkit_export.graphs.convolutions import expand
from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.quantization import rowwise as quantize
from embedkit_export.quantization.products import products
from helpers.products import one_product


@pytest.mark.parametrize("shape", [("batch",), ("batch", 2), ("batch", 1)])
def test_pooled_vectors_stay_in_fp32(shape: tuple[Any, ...]) -> None:
    model = one_product(np.ones((32, 8), np.float32), shape=shape)
    assert quantize.products(model) == []
    assert quantize.rowwise_int8(model) == 0
    assert [node.op_type for node in model.graph] == ["MatMul"]


def test_a_fixed_number_of_tokens_is_quantised() -> None:
    assert len(quantize.products(one_product(np.ones((32, 8), np.float32), shape=("batch", 197)))) == 1


@pytest.mark.parametrize(("name", "left"), [("features", 1), ("tokens", 2)])
def test_convolutions_of_sounds_stay_as_they_are(name: str, left: int) -> None:
    graph = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]>
        heard (float[batch, 4, time] {name}) => (float[batch, frames, 3] y)
        {{ c = Conv<kernel_shape = [3], strides = [2], pads = [1, 1]>({name}, kernel)
           t = Transpose<perm = [0, 2, 1]>(c) y = MatMul(t, w) }}"""
    )
    rng = np.random.default_rng(0)
    for constant, shape in (("kernel", (6, 4, 3)), ("w", (6, 3))):
        graph.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), constant))
    model = ir.from_proto(onnx.shape_inference.infer_shapes(graph))
    assert expand(model) == 1
    for one in (model, model.clone(), own_copy(model)):
        assert len(products(one)) == left
