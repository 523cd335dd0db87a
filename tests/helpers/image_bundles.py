"""Bundles of a few kilobytes that read pictures, with what they compute written in numpy beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from embedkit import Bundle
from embedkit.bundle.golden import media_arrays
from embedkit.bundle.manifest import Graph, ImageFrontend, Input, Manifest, Matching, Output, Resize, Tower, Variant
from embedkit.bundle.writer import write_manifest
from embedkit.testing.tiny import tiny_bundle

DIM, EDGE = 8, 16
FRONTEND = ImageFrontend(size=[EDGE, EDGE], steps=[Resize(size=[EDGE, EDGE], filter="bilinear")], slots=16)
COLORS = {
    "black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255),
    "yellow": (255, 255, 0), "magenta": (255, 0, 255), "cyan": (0, 255, 255), "white": (255, 255, 255),
}  # fmt: skip
"""The corners of the cube of colours: a picture's vector says how near its mean is to each, as `vectors` computes."""
_CORNERS = np.array(list(COLORS.values()), dtype=np.float32) / 255


def weights() -> tuple[np.ndarray, np.ndarray]:
    """(3, `DIM`) and (`DIM`,): from a mean colour (0 to 1) to its vector before it has unit length."""
    around = 2 * _CORNERS - 1
    return 2 * around.T, -around.sum(axis=1)


def vectors(colors: Sequence[Sequence[int]]) -> np.ndarray:
    """(n, `DIM`) float32: the vectors of pictures of one colour."""
    matrix, bias = weights()
    found = (np.array(colors, dtype=np.float32) / 255) @ matrix + bias
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def picture_bundle(
    folder: Path, *, texts: bool = False, labels: Sequence[str] = (), matching: Matching | None = None
) -> Path:
    """A bundle of pictures: vectors by their mean colour. With ``texts`` the roles default, query and text read texts, and document
    and image pictures; with ``labels`` (of `COLORS`) it gives a number for each class too."""
    tiny_bundle(folder, dim=DIM, variants=("fp32",))
    (folder / "pictures.fp32.onnx").write_bytes(_graph(len(labels)))
    outputs: dict[str, Output] = {"dense": Output(kind="dense", dim=DIM, normalized=True)}
    if labels:
        outputs["classes"] = Output(kind="logits", dim=len(labels), labels=list(labels), activation="softmax")
    expected = vectors(list(COLORS.values()))
    golden = dict(np.load(folder / "golden.npz"))
    owner = "document" if texts else "default"
    pixels = np.stack([np.full((EDGE, EDGE, 3), color, np.uint8) for color in COLORS.values()])
    golden |= media_arrays(owner, {"pixels": pixels}, [])
    golden = {name: value for name, value in golden.items() if texts or name.partition(".")[0] == "input"}
    for role in ("document", "image") if texts else ("default", "query", "document"):
        golden[f"vectors.{role}"] = expected
    if texts:
        golden["vectors.text"] = golden["vectors.default"]
    np.savez(folder / "golden.npz", **golden)

    def change(manifest: Manifest) -> Mapping[str, Any]:
        quality = manifest.towers["default"].graph.variants["fp32"].quality
        graph = Graph(variants={"fp32": Variant(file="pictures.fp32.onnx", quality=quality, golden_cosine_min=1.0)})
        inputs = [Input(name="pixels", dtype="uint8", source="pixels")]
        tower = Tower(frontend=FRONTEND, inputs=inputs, graph=graph, outputs=outputs)
        if not texts:
            likes = {role: Tower(frontend=FRONTEND, like="default") for role in ("query", "document")}
            return {"schema": 2, "towers": {"default": tower, **likes}}
        old = manifest.towers
        towers = {
            "default": old["default"], "query": old["query"], "text": Tower(frontend=old["default"].frontend, like="default"),
            "document": tower, "image": Tower(frontend=FRONTEND, like="document"),
        }  # fmt: skip
        return {"schema": 2, "towers": towers, "matching": matching}

    manifest = Bundle.open(folder).manifest
    if not texts:
        (folder / "model.fp32.onnx").unlink()
        (folder / "tokenizer.json").unlink()
    write_manifest(folder, msgspec.structs.replace(manifest, **change(manifest)))
    return folder


def _graph(labels: int) -> bytes:
    matrix, bias = weights()
    constants = {
        "axes": np.array([1, 2], np.int64), "last": np.array([1], np.int64), "full": np.array(255, np.float32),
        "matrix": matrix, "bias": bias, "small": np.array(1e-12, np.float32),
    }  # fmt: skip
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", ["pixels"], "levels", {"to": TensorProto.FLOAT}),
        ("ReduceMean", ["levels", "axes"], "mean", {"keepdims": 0}),
        ("Div", ["mean", "full"], "color", {}),
        ("MatMul", ["color", "matrix"], "product", {}),
        ("Add", ["product", "bias"], "sum", {}),
        ("ReduceL2", ["sum", "last"], "norm", {"keepdims": 1}),
        ("Max", ["norm", "small"], "length", {}),
        ("Div", ["sum", "length"], "dense", {}),
    ]
    outs = [helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["rows", DIM])]
    if labels:
        constants["start"], constants["end"] = np.array([0], np.int64), np.array([labels], np.int64)
        steps.append(("Slice", ["sum", "start", "end", "last"], "classes", {}))
        outs.append(helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["rows", labels]))
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output], **attributes) for op, inputs, output, attributes in steps],
        "colors",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["rows", EDGE, EDGE, 3])],
        outs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
