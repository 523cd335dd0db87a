"""What a graph takes and gives is read as onnx reads it, and compared with the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from embedkit import BundleError
from embedkit.bundle.graphs.interface import check_interface, read_interface
from embedkit.bundle.manifest import Input, Output

IDS = Input(name="ids", dtype="int64", source="ids")
DENSE = {"y": Output(kind="dense", dim=4)}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["all"]), helper.make_node("ReduceSum", ["all", "axes"], ["y"])],
        "g",
        [
            value("ids", TensorProto.INT64, ["n", 7]),
            value("table", TensorProto.FLOAT, [9, 4]),
            value("free", TensorProto.FLOAT16, None),
        ],
        [value("y", TensorProto.FLOAT, ["n", 4]), value("all", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((9, 4), np.float32), "table"), numpy_helper.from_array(np.array([1]), "axes")],
    )
    onnx.save(helper.make_model(made), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_what_it_takes_and_gives(graph: Path) -> None:
    found = read_interface(graph)
    assert {name: (t.dtype, t.shape) for name, t in found.inputs.items()} == {
        "ids": ("int64", (0, 7)),
        "free": ("float16", None),
    }
    assert {name: (t.dtype, t.shape) for name, t in found.outputs.items()} == {
        "y": ("float32", (0, 4)),
        "all": ("float32", None),
    }


FREE = Input(name="free", dtype="float32", source="mask")


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([IDS], DENSE, r"at\.inputs: expected all that m\.onnx takes, found none that fills 'free'"),
        ([IDS, FREE], DENSE, r"at\.inputs\.1\.dtype: expected float16"),
        ([Input(name="ids", dtype="int64", source="length")], DENSE, r"at\.inputs\.0\.source"),
        (
            [Input(name="x", dtype="int64", source="ids")],
            DENSE,
            r"at\.inputs\.0\.name: expected an input of m\.onnx \(ids, free\)",
        ),
    ],
)
def test_what_a_manifest_says_of_others(graph: Path, inputs: list[Input], outputs: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_interface(graph.name, read_interface(graph), "at", inputs, outputs)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"z": DENSE["y"]}, r"at\.outputs\.z: expected an output of m\.onnx \(y, all\)"),
        ({"y": Output(kind="dense", dim=5)}, r"at\.outputs\.y\.dim: expected 4"),
        ({"y": Output(kind="tokens", dim=4)}, r"at\.outputs\.y\.kind: expected one of a tensor with 2 axes"),
        ({"all": Output(kind="tokens", dim=4)}, ""),
        (DENSE, ""),
    ],
)
def test_outputs(graph: Path, output: dict[str, Output], message: str) -> None:
    model = onnx.load(graph)
    del model.graph.input[2]
    onnx.save(model, graph)
    if not message:
        check_interface(graph.name, read_interface(graph), "at", [IDS], output)
        return
    with pytest.raises(BundleError, match=message):
        check_interface(graph.name, read_interface(graph), "at", [IDS], output)
