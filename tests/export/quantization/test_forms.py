"""The forms of the variants: each is made of the same fp32 graph, so none may change it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from embedkit_export import files, prepare
from embedkit_export.graphs import capture, fuse
from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.quantization import blockwise
from embedkit_export.quantization import rowwise as quantize
from embedkit_export.quantization.calibration.sessions import open_session
from embedkit_export.quantization.forms import FusedGraph, forms
from embedkit_export.tensors import VARIANTS
from helpers import models
from helpers.untouched import untouched


@pytest.fixture(scope="module")
def fused_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = models.save("bert", tmp_path_factory.mktemp("variants") / "bert", layers=2)
    model = capture.capture(prepare(folder).plan.graphs["default"])
    fuse.fuse(model)
    return bytes(ir.to_proto(model).SerializeToString())


@pytest.fixture
def ground(fused_bytes: bytes) -> FusedGraph:
    rows = np.random.default_rng(0).integers(5, 100, (10, 1, 12))
    feeds = [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in rows]
    return FusedGraph(ir.from_proto(onnx.load_model_from_string(fused_bytes)), feeds)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_form_changes_the_graph_it_is_made_of(variant: str, ground: FusedGraph, tmp_path: Path) -> None:
    with untouched(ground.model):
        for number, form in enumerate(forms(variant)):
            made = form.build(ground)
            assert (made is ground.model) == (variant == "fp32")
            files.save(made, tmp_path, f"{number}.onnx")


def test_what_is_written_does_not_depend_on_what_was_made_before(ground: FusedGraph, fused_bytes: bytes) -> None:
    for variant in ("w4", "int8", "fp16"):
        for form in forms(variant):
            form.build(ground)
    assert ir.to_proto(ground.model).SerializeToString() == fused_bytes


def test_a_form_is_the_same_whatever_was_made_before(ground: FusedGraph, fused_bytes: bytes) -> None:
    alone = {}
    for variant in VARIANTS:
        fresh = FusedGraph(ir.from_proto(onnx.load_model_from_string(fused_bytes)), ground.feeds)
        alone[variant] = ir.to_proto(next(forms(variant)).build(fresh)).SerializeToString()
    for variant in reversed(VARIANTS):
        assert ir.to_proto(next(forms(variant)).build(ground)).SerializeToString() == alone[variant], variant


def test_a_copy_is_a_graph_of_its_own(ground: FusedGraph) -> None:
    with untouched(ground.model):
        copied = own_copy(ground.model)
        own = {id(value) for node in copied.graph for value in (*node.inputs, *node.outputs)}
        assert own.isdisjoint(id(value) for node in ground.model.graph for value in (*node.inputs, *node.outputs))
        copied.graph.outputs.pop()
        for node in copied.graph:
            node.outputs[0].shape, node.outputs[0].type = None, None
    with untouched(ground.model):
        quantize.rowwise_int8(own_copy(ground.model))
        blockwise.block_weights(own_copy(ground.model))


def a_product_as_output(kind: str = "MatMul") -> ir.Model:
    """ids -> rows of a table -> a product that is the graph's output "vectors", as of a layer without a bias."""
    numbers = np.random.default_rng(0).normal(size=(9, 32)).astype(np.float32)
    ids = ir.val("input_ids", shape=ir.Shape(["batch", "tokens"]), type=ir.TensorType(ir.DataType.INT64))
    graph = ir.Graph([ids], [], nodes=[], opset_imports={"": 21}, name="g")

    def op(name: str, inputs: list[ir.Value], out: str, *shape: str | int, **attributes: int) -> ir.Value:
        node = ir.node(name, inputs, attributes)
        made = node.outputs[0]
        made.name, made.shape, made.type = out, ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        graph.append(node)
        return made

    x = op("Gather", [fuse.initializer(graph, "table", numbers), ids], "rows", "batch", "tokens", 32)
    weight = fuse.initializer(graph, "w", np.ones((32, 16), np.float32))
    if kind == "Gemm":
        x = op("Reshape", [x, fuse.initializer(graph, "flat", np.array([-1, 32]))], "flattened", "batch*tokens", 32)
        x = op("Gemm", [x, weight], "product", "batch*tokens", 16)
        x = op("Reshape", [x, fuse.initializer(graph, "back", np.array([1, -1, 16]))], "vectors", "batch", "tokens", 16)
    elif kind == "Conv":
        x = op("Transpose", [x], "turned", "batch", 32, "tokens", perm=[0, 2, 1])  # type: ignore[arg-type]
        kernel = fuse.initializer(graph, "kernel", np.ones((16, 32, 1), np.float32))
        x = op("Transpose", [op("Conv", [x, kernel], "made", "batch", 16, "tokens")], "vectors", "batch", "tokens", 16)
        x.producer().attributes["perm"] = ir.AttrInt64s("perm", [0, 2, 1])  # type: ignore[union-attr]
    else:
        x = op("MatMul", [x, weight], "vectors", "batch", "tokens", 16)
    graph.outputs.append(x)
    return ir.Model(graph, ir_version=10)


@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "Conv"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_output_that_is_a_product_keeps_its_name(kind: str, variant: str) -> None:
    model = a_product_as_output(kind)
    ids = np.array([[1, 8, 3]])
    expected = open_session(model).run(["vectors"], {"input_ids": ids})[0]
    fuse.fuse(model)
    assert kind == "MatMul" or kind not in {node.op_type for node in model.graph}
    made = next(forms(variant)).build(FusedGraph(model, [{"input_ids": ids}]))
    assert [out.name for out in made.graph.outputs] == ["vectors"]
    names = [value.name for node in made.graph for value in node.outputs]
    assert len(set(names)) == len(names)
    found = open_session(made).run(["vectors"], {"input_ids": ids})[0]
    assert found.shape == expected.shape
    if variant in ("fp32", "fp16"):  # 8-bit products overflow on some CPUs
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)


def test_a_table_stays_fp32_only_in_a_form_of_its_own(ground: FusedGraph) -> None:
    large = FusedGraph(a_product_as_output(), [])
    large.model.graph.initializers["table"].const_value = ir.tensor(np.ones((9000, 32), np.float32), name="table")
    large.model.graph.initializers["table"].shape = ir.Shape((9000, 32))
    whole, table, *_ = forms("int8")
    assert [form.differs(large) for form in (whole, table)] == [True, True]
    assert [form.differs(ground) for form in (whole, table)] == [True, False]
    for form, kept in ((whole, False), (table, True)):
        made = form.build(large)
        assert (
            any(
                value.dtype == ir.DataType.FLOAT and list(value.shape or ()) == [9000, 32]
                for value in made.graph.initializers.values()
            )
            == kept
        )
