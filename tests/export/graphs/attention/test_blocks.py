"""Attention by blocks gives the bytes of attention as a whole, and never holds all its scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import embedkit_export
from embedkit_export.graphs.attention.blocks import LEAST, ROWS, cut_attention
from embedkit_export.graphs.capture import capture
from embedkit_export.graphs.fuse import fuse
from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.quantization.fp16 import fp16
from helpers import models, slow

LONGEST = 1100
FAMILIES = ["bert", "modernbert", "t5", "deberta", "deberta-v2", "mpnet", "gpt2", "qwen3", "bloom", "embedding-gemma"]
LENGTHS = {"t5": {}, "bloom": {}, "gpt2": {"n_positions": LONGEST}}
EXACT = {"bert", "modernbert", "mpnet", "gpt2", "qwen3", "t5"}
"""Families of which onnxruntime computes the same operators in both graphs; in the others it joins some of one of them."""


def captured(family: str, layers: int = 2, **config: Any) -> ir.Model:
    sizes: dict[str, Any] = LENGTHS.get(family, {"max_position_embeddings": LONGEST})
    pair = models.make(family, layers=layers, **sizes, **config)
    plan = embedkit_export.prepare(pair, max_tokens=LONGEST - 2, pooling="mean").plan
    graph = capture(plan.graphs["default"])
    fuse(graph)
    return graph


def session(model: ir.Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: ort.InferenceSession, rows: list[np.ndarray], width: int = 0) -> np.ndarray:
    width = width or max(map(len, rows))
    ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    given = {"input_ids": ids, "attention_mask": mask, "pool_mask": mask}
    feed = {one.name: given.get(one.name, np.zeros_like(ids)) for one in model.get_inputs()}
    return np.asarray(model.run(None, feed)[0])


def texts(*lengths: int) -> list[np.ndarray]:
    random = np.random.default_rng(sum(lengths))
    return [random.integers(5, 100, length) for length in lengths]


@pytest.mark.parametrize("family", slow.but(["modernbert", "deberta-v2", "t5"], FAMILIES))
def test_the_bytes_of_a_whole_attention(family: str) -> None:
    whole = captured(family)
    cut = own_copy(whole)
    assert cut_attention(cut) == sum(node.op_type == "Softmax" for node in whole.graph) == 2
    a, b = session(whole), session(cut)
    for lengths in ((3,), (LEAST,), (LEAST + 1,), (2 * ROWS + 44, 700), (3 * ROWS, 9), (1000, 513, 40)):
        rows = texts(*lengths)
        expected, found = run(a, rows), run(b, rows)
        assert np.abs(expected - found).max() < 1e-6, lengths
        assert family not in EXACT or expected.tobytes() == found.tobytes(), lengths
        for i, row in enumerate(rows):  # by whichever way its length and its neighbours' choose
            assert run(b, [row])[0].tobytes() == found[i].tobytes(), (lengths, i)


LOCAL: list[tuple[str, dict[str, Any]]] = [
    ("modernbert", {"local_attention": 128, "hidden": 256}),
    ("mistral", {"sliding_window": 101}),
    ("embedding-gemma", {"sliding_window": 33}),
]


@pytest.mark.parametrize(("family", "window"), slow.after(1, LOCAL))
def test_a_local_layer_computes_what_its_queries_see(family: str, window: dict[str, Any]) -> None:
    whole = captured(family, **window)
    cut = own_copy(whole)
    assert cut_attention(cut) == 2
    assert any(str(value.name).endswith(".earliest") for node in cut.graph.all_nodes() for value in node.outputs)
    a, b = session(whole), session(cut)
    for lengths in ((513, 300), (600, 512, 100), (1024, 1025, 1023, 64, 768), (1097, 769, 255, 256, 257, 2)):
        rows = texts(*lengths)
        expected, found = run(a, rows), run(b, rows)
        assert np.abs(expected - found).max() < 1e-6, lengths
        for i, row in enumerate(rows):
            assert run(b, [row])[0].tobytes() == found[i].tobytes(), (lengths, i)


def test_half_precision() -> None:
    whole = captured("modernbert", layers=1)
    assert fp16(whole)
    cut = own_copy(whole)
    assert cut_attention(cut) == 1
    rows = texts(700, 300)
    assert np.abs(run(session(whole), rows) - run(session(cut), rows)).max() < 2e-3


def test_a_mask_is_made_once_for_all_layers_and_not_at_all_for_long_texts() -> None:
    cut = own_copy(captured("gpt2", layers=3))
    assert cut_attention(cut) == 3
    ways = [node for node in cut.graph if node.op_type == "If"]
    assert len(ways) == 4, "one a layer, and one for the mask that they share"
    for value in (value for node in cut.graph for value in node.outputs):
        symbols = [str(dim) for dim in value.shape or () if not isinstance(dim, int)]
        assert symbols.count("tokens") < 2, f"{value.name} holds all pairs of tokens"


def test_what_is_no_attention_is_left_alone() -> None:
    x, y = (
        ir.Value(name=name, shape=ir.Shape(["batch", "tokens", 8]), type=ir.TensorType(ir.DataType.FLOAT))
        for name in "xy"
    )
    node = ir.Node("", "Softmax", [x], [ir.AttrInt64("axis", -1)], outputs=[y])
    model = ir.Model(ir.Graph([x], [y], nodes=[node], name="g", opset_imports={"": 21}), ir_version=10)
    assert cut_attention(model) == 0
    assert list(model.graph) == [node]


def test_sizes_that_are_unknown_are_not_taken_for_equal() -> None:
    def product(dims: list[str | None]) -> int:
        x = ir.Value(name="x", shape=ir.Shape(["batch", *dims, 8]), type=ir.TensorType(ir.DataType.FLOAT))
        scores = ir.Value(name="s", shape=ir.Shape(["batch", *dims, *dims]), type=ir.TensorType(ir.DataType.FLOAT))
        chances = ir.Value(name="p", shape=scores.shape, type=scores.type)
        y = ir.Value(name="y", shape=x.shape, type=x.type)
        nodes = [
            ir.Node("", "Softmax", [scores], [ir.AttrInt64("axis", -1)], outputs=[chances]),
            ir.Node("", "MatMul", [chances, x], outputs=[y]),
        ]
        graph = ir.Graph([x, scores], [y], nodes=nodes, name="g", opset_imports={"": 21})
        return cut_attention(ir.Model(graph, ir_version=10))

    assert [product(["tokens"]), product(["((tokens**2)//tokens)"]), product(["odd(tokens)"]), product([None])] == [
        1,
        1,
        1,
        0,
    ]


CHILD = """
import resource, sys
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
def run(tokens):
    ids = np.full((1, tokens), 7, np.int64)
    session.run(None, {one.name: np.ones_like(ids) if "mask" in one.name else ids * ("ids" in one.name) for one in session.get_inputs()})
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
before = run(300)
print(run(int(sys.argv[2])) - before)
"""


@pytest.mark.parametrize("family", ["modernbert", "t5"])
def test_memory_grows_with_the_length_and_not_with_its_square(family: str, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {} if family == "t5" else {"max_position_embeddings": 8200}
    pair = models.make(family, layers=1, **sizes)
    graph = capture(embedkit_export.prepare(pair, max_tokens=8192, pooling="mean").plan.graphs["default"])
    fuse(graph)
    cut_attention(graph)
    ir.save(graph, tmp_path / "cut.onnx")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "cut.onnx"), "6000"]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 6000 * 6000 * 4 * 4 / 4, "a quarter of the scores of four heads"
