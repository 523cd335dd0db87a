"""Bundles of a few kilobytes that read sounds, with what they compute written in numpy beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from embedkit import Audio, Bundle
from embedkit.bundle.golden import media_arrays
from embedkit.bundle.manifest import AudioFrontend, Graph, Input, Manifest, Mel, Output, Tower, Variant
from embedkit.bundle.writer import write_manifest
from embedkit.runtime.frontends.audio.modality import AudioModality
from embedkit.testing.tiny import tiny_bundle
from helpers.audio_frontends import filters

DIM, RATE = 8, 8_000
MEL = Mel(
    file="frontend.npz", frame=256, hop=128, fft=256, bands=DIM, frames=62, center=False, floor=1e-6, layout="frames"
)
FRONTEND = AudioFrontend(rate=RATE, least=256, most=8_064, fill="repeatpad", mel=MEL, slots=64)
"""Clips of a second."""


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    """(samples,) float32."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def sound_bundle(folder: Path, *, texts: bool = False) -> Path:
    """A bundle of sounds: the mean of the logarithms of `DIM` bands over time, above their floor, of unit length, so that a tone's
    vector says how high it is. With ``texts`` the roles default, query and text read texts, and document and audio sounds."""
    tiny_bundle(folder, dim=DIM, variants=("fp32",))
    (folder / "sounds.fp32.onnx").write_bytes(_graph())
    np.savez(folder / "frontend.npz", filters=filters(MEL), window=np.hanning(MEL.frame))
    modality = AudioModality(FRONTEND, [])
    modality.open(lambda name: folder / name)
    clips: list[Any] = [Audio(tone(hertz, 0.7), RATE) for hertz in (300, 1500, 2500, 3500)]
    features = modality.prepared(clips)["features"]
    expected = features.mean(axis=1) + 6.0
    expected = (expected / np.linalg.norm(expected, axis=1, keepdims=True)).astype(np.float32)
    owner = "document" if texts else "default"
    golden = dict(np.load(folder / "golden.npz")) | media_arrays(owner, {"features": features}, [])
    golden = {name: value for name, value in golden.items() if texts or name.partition(".")[0] == "input"}
    for role in ("document", "audio") if texts else ("default", "query", "document"):
        golden[f"vectors.{role}"] = expected
    if texts:
        golden["vectors.text"] = golden["vectors.default"]
    np.savez(folder / "golden.npz", **golden)

    def change(manifest: Manifest) -> Mapping[str, Any]:
        quality = manifest.towers["default"].graph.variants["fp32"].quality  # type: ignore[union-attr]
        graph = Graph(variants={"fp32": Variant(file="sounds.fp32.onnx", quality=quality, golden_cosine_min=1.0)})
        inputs = [Input(name="features", dtype="float32", source="features")]
        outputs = {"dense": Output(kind="dense", dim=DIM, normalized=True)}
        tower = Tower(frontend=FRONTEND, inputs=inputs, graph=graph, outputs=outputs)
        if not texts:
            likes = {role: Tower(frontend=FRONTEND, like="default") for role in ("query", "document")}
            return {"schema": 2, "towers": {"default": tower, **likes}}
        old = manifest.towers
        text = Tower(frontend=old["default"].frontend, like="default")
        heard = {"document": tower, "audio": Tower(frontend=FRONTEND, like="document")}
        return {"schema": 2, "towers": {"default": old["default"], "query": old["query"], "text": text, **heard}}

    manifest = Bundle.open(folder).manifest
    if not texts:
        (folder / "model.fp32.onnx").unlink()
        (folder / "tokenizer.json").unlink()
    write_manifest(folder, msgspec.structs.replace(manifest, **change(manifest)))
    return folder


def _graph() -> bytes:
    constants = {"time": np.array([1], np.int64), "lift": np.array(6, np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["features", "time"], ["mean"], keepdims=0),
            helper.make_node("Add", ["mean", "lift"], ["sum"]),
            helper.make_node("ReduceL2", ["sum", "time"], ["length"], keepdims=1),
            helper.make_node("Div", ["sum", "length"], ["dense"]),
        ],
        "bands",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", MEL.frames, MEL.bands])],
        [helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["rows", DIM])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
