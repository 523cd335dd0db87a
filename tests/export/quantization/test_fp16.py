"""The fp16 graph: against numpy, against torch, and alone against in a batch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from embedkit import ExportError
from embedkit_export.graphs import fuse
from embedkit_export.graphs.programs.shortcuts import in_short
from embedkit_export.quantization import fp16 as half

FLOAT = ir.TensorType(ir.DataType.FLOAT)
WIDTH = 32


def run(model: ir.Model, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else mask}
    return np.asarray(session.run(None, {each.name: inputs[each.name] for each in session.get_inputs()})[0])


class Bert(torch.nn.Module):
    """A tiny BERT with mean pooling and unit length, and the additive mask of the lowest float32."""

    def __init__(self) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=99,
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            attn_implementation="eager",
        )
        self.bert = BertModel(config, add_pooling_layer=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask.to(torch.float32)
        lowest = (1.0 - mask)[:, None, None, :] * torch.finfo(torch.float32).min
        hidden = self.bert(input_ids=input_ids, attention_mask=lowest).last_hidden_state
        pooled = torch.matmul(mask[:, None, :].expand(-1, 2, -1), hidden) / mask.sum(1)[:, None, None]
        return (pooled / torch.linalg.vector_norm(pooled, dim=-1, keepdim=True))[:, 0]


@pytest.fixture(scope="module")
def bert() -> Bert:
    return Bert().eval()


@pytest.fixture(scope="module")
def saved(bert: Bert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    ids = torch.full((3, 7), 5)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=64)}
    with torch.no_grad(), in_short():
        program: Any = torch.onnx.export(
            bert,
            (ids, torch.ones_like(ids)),
            dynamo=True,
            dynamic_shapes=(axes, axes),
            input_names=["input_ids", "attention_mask"],
            output_names=["dense"],
            opset_version=21,
            verbose=False,
        )
    fuse.fuse(program.model)
    path = tmp_path_factory.mktemp("half") / "fp32.onnx"
    ir.save(program.model, path)
    return path


def ragged(rows: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    lengths = rng.integers(2, longest + 1, rows)
    lengths[0] = longest
    mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
    return rng.integers(1, 99, mask.shape) * mask, mask


def table(graph: ir.Graph, rows: int, width: int, values: np.ndarray | None = None) -> ir.Value:
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(rows, width)) if values is None else values
    return fuse.initializer(graph, "table", numbers.astype(np.float32))


class Build:
    """A small graph from ids to a vector, node by node."""

    def __init__(self) -> None:
        ids = ir.val("input_ids", shape=ir.Shape(["batch", "tokens"]), type=ir.TensorType(ir.DataType.INT64))
        self.graph = ir.Graph([ids], [], nodes=[], opset_imports={"": 21}, name="g")
        self.ids = ids

    def op(self, kind: str, inputs: list[Any], shape: list[Any], **attributes: Any) -> ir.Value:
        node = ir.node(kind, inputs, attributes)
        out = node.outputs[0]
        out.name, out.shape, out.type = f"v{len(self.graph)}", ir.Shape(shape), FLOAT
        self.graph.append(node)
        return out

    def const(self, name: str, value: Any) -> ir.Value:
        return fuse.initializer(self.graph, name, np.asarray(value))

    def model(self, out: ir.Value) -> ir.Model:
        self.graph.outputs.append(out)
        return ir.Model(self.graph, ir_version=10)


TOKENS: list[Any] = ["batch", "tokens", WIDTH]


def test_vectors_stay_and_types_at_the_borders_stay(bert: Bert, saved: Path) -> None:
    model = ir.load(saved)
    assert half.fp16(model) == 2 * 6 + 2 * 2
    assert [str(out.dtype) for out in model.graph.outputs] == ["FLOAT"]
    assert model.graph.outputs[0].name == "dense"
    assert [str(value.dtype) for value in model.graph.inputs] == ["INT64", "INT64"]
    ids, mask = ragged(6, 20)
    with torch.no_grad():
        expected = bert(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    found = run(model, ids, mask)
    assert found.dtype == np.float32
    assert (found * expected).sum(1).min() > 1 - 1e-5
    assert 0 < np.abs(found - expected).max() < 2e-3


def test_weights_and_tables_take_half_the_room(saved: Path, tmp_path: Path) -> None:
    model = ir.load(saved)
    floats = [v for v in model.graph.initializers.values() if v.dtype == ir.DataType.FLOAT]
    numbers = sum(v.const_value.size for v in floats if v.const_value is not None)
    half.fp16(model)
    left = [v for v in model.graph.initializers.values() if v.dtype == ir.DataType.FLOAT]
    assert sum(v.const_value.size for v in left if v.const_value is not None) < 20
    ir.save(model, tmp_path / "fp16.onnx")
    assert (tmp_path / "fp16.onnx").stat().st_size < saved.stat().st_size - 1.9 * numbers


def test_a_row_does_not_see_its_batch(saved: Path) -> None:
    model = ir.load(saved)
    half.fp16(model)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    ids, mask = ragged(32, 60)
    together = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    for i, length in enumerate(mask.sum(1)):
        row = {"input_ids": ids[i : i + 1, :length], "attention_mask": mask[i : i + 1, :length]}
        assert session.run(None, row)[0].tobytes() == together[i].tobytes()


def test_softmax_and_what_follows_the_pooling_stay_fp32(saved: Path) -> None:
    model = ir.load(saved)
    half.fp16(model)
    kinds: Counter[str] = Counter()
    for node in model.graph:
        kinds[f"{node.op_type} {node.outputs[0].dtype}"] += 1
    assert kinds["Softmax FLOAT"] == 2
    assert kinds["MatMul FLOAT"] == 1
    assert kinds["LayerNormalization FLOAT16"] == 5
    assert kinds["ReduceL2 FLOAT"] == 1


def test_shown_rounding_is_that_of_float16() -> None:
    build = Build()
    x = build.op("Gather", [table(build.graph, 9, WIDTH), build.ids], TOKENS)
    for i in range(3):
        x = build.op("Add", [x, build.const(f"b{i}", np.full(WIDTH, 1000.7 + i, np.float32))], TOKENS)
    model = build.model(build.op("Identity", [x], TOKENS))
    half.fp16(model)
    half.show_rounding(model)
    ids = np.array([[1, 4, 8], [0, 2, 3]])
    numbers = np.random.default_rng(1).normal(size=(9, WIDTH)).astype(np.float16)[ids]
    for i in range(3):
        numbers = numbers + np.full(WIDTH, 1000.7 + i, np.float16)
    assert np.array_equal(run(model, ids), numbers.astype(np.float32))


def test_shown_rounding_shows_an_overflow() -> None:
    build = Build()
    weight = build.const("w", np.full((WIDTH, WIDTH), 300, np.float32))
    x = build.op("Gather", [table(build.graph, 3, WIDTH, np.full((3, WIDTH), 30.0)), build.ids], TOKENS)
    x = build.op("MatMul", [x, weight], TOKENS)
    x = build.op("Mul", [x, build.const("c", np.full(WIDTH, 0.001, np.float32))], TOKENS)
    model = build.model(build.op("ReduceMax", [x, build.const("axis", [1])], ["batch", WIDTH], keepdims=0))
    half.fp16(model)
    half.show_rounding(model)
    assert np.isinf(run(model, np.array([[0, 1]]))).all()


@pytest.mark.parametrize("lowest", [-np.inf, np.finfo(np.float32).min])
def test_a_fully_masked_row_is_finite(lowest: float) -> None:
    build = Build()
    x = build.op("Gather", [table(build.graph, 9, WIDTH), build.ids], TOKENS)
    hidden = build.op("Where", [build.const("no", np.array(False)), x, build.const("low", np.float32(lowest))], TOKENS)
    model = build.model(build.op("ReduceMax", [hidden, build.const("axis", [1])], ["batch", WIDTH], keepdims=0))
    half.fp16(model)
    half.show_rounding(model)
    assert np.array_equal(run(model, np.array([[1, 2]])), np.full((1, WIDTH), -half.MASKED, np.float32))


def test_what_comes_from_the_mask_is_clipped_where_a_token_vector_meets_it() -> None:
    build = Build()
    x = build.op("Gather", [table(build.graph, 9, WIDTH), build.ids], TOKENS)
    flags = build.op("Cast", [build.ids], ["batch", "tokens"], to=ir.DataType.FLOAT)
    low = build.op("Mul", [flags, build.const("low", np.finfo(np.float32).min)], ["batch", "tokens"])
    low = build.op("Unsqueeze", [low, build.const("two", [2])], ["batch", "tokens", 1])
    masked = build.op("Add", [x, low], TOKENS)
    model = build.model(build.op("ReduceMax", [masked, build.const("axis", [1])], ["batch", WIDTH], keepdims=0))
    half.fp16(model)
    half.show_rounding(model)
    found = run(model, np.array([[0, 1], [2, 3]]))
    numbers = np.random.default_rng(1).normal(size=(9, WIDTH)).astype(np.float16)
    assert np.array_equal(found[0], numbers[0].astype(np.float32))
    assert np.abs(found[1] + half.MASKED).max() < 8  # the step of float16 there


def _normed(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5))


def test_the_residual_of_a_pre_norm_model_may_grow_beyond_fp16() -> None:
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=(9, WIDTH)) * 1000
    ids = np.array([[1, 5, 7]])
    build = Build()
    one = build.const("one", np.ones(WIDTH, np.float32))
    x = build.op("Gather", [table(build.graph, 9, WIDTH, numbers), build.ids], TOKENS)
    expected = numbers[ids]
    for i in range(8):
        weight = rng.normal(size=(WIDTH, WIDTH)) * 2500
        normed = build.op("LayerNormalization", [x, one], TOKENS)
        branch = build.op("MatMul", [normed, build.const(f"w{i}", weight.astype(np.float32))], TOKENS)
        x = build.op("Add", [x, branch], TOKENS)
        expected = expected + _normed(expected) @ weight
    assert np.abs(expected).max() > half.LARGEST
    x = build.op("LayerNormalization", [x, one], TOKENS)
    model = build.model(build.op("ReduceMax", [x, build.const("axis", [1])], ["batch", WIDTH], keepdims=0))
    assert half.fp16(model) == 8
    half.show_rounding(model)
    assert np.abs(run(model, ids) - _normed(expected).max(1)).max() < 0.02


def test_a_decomposed_norm_of_large_numbers_does_not_overflow() -> None:
    build = Build()
    x = build.op("Gather", [table(build.graph, 9, WIDTH, np.full((9, WIDTH), 2000.0)), build.ids], TOKENS)
    square = build.op("Mul", [x, x], TOKENS)
    power = build.op("Pow", [x, build.const("two", np.float32(2))], TOKENS)
    mean = build.op("ReduceMean", [power, build.const("last", [-1])], ["batch", "tokens", 1])
    root = build.op("Sqrt", [build.op("Add", [mean, build.const("e", np.float32(1e-6))], mean.shape)], mean.shape)  # type: ignore[arg-type]
    normed = build.op("Div", [x, root], TOKENS)
    model = build.model(build.op("ReduceMax", [normed, build.const("axis", [1])], ["batch", WIDTH], keepdims=0))
    assert len(list(square.uses())) == 0
    half.fp16(model)
    half.show_rounding(model)
    assert np.allclose(run(model, np.array([[1, 5, 7]])), 1, atol=1e-5)


def test_vectors_of_tokens_come_out_as_fp32_under_their_name() -> None:
    build = Build()
    x = build.op("Gather", [table(build.graph, 9, WIDTH), build.ids], TOKENS)
    x.name = "token_vectors"
    model = build.model(x)
    half.fp16(model)
    assert (model.graph.outputs[0].name, str(model.graph.outputs[0].dtype)) == ("token_vectors", "FLOAT")
    expected = np.random.default_rng(1).normal(size=(9, WIDTH)).astype(np.float16).astype(np.float32)
    assert np.array_equal(run(model, np.array([[3, 0]])), expected[[[3, 0]]])


def test_a_value_without_a_type_is_refused() -> None:
    build = Build()
    x = build.op("Gather", [table(build.graph, 9, WIDTH), build.ids], TOKENS)
    model = build.model(x)
    x.type = None
    with pytest.raises(ExportError, match="no type is known for 'v0'"):
        half.fp16(model)
