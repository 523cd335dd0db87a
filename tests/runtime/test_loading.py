"""What is loaded where options leave it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import write_manifest
from embedkit.runtime.engines.onnxruntime import OnnxRuntime
from embedkit.testing.tiny import tiny_bundle


def test_int8_that_fails_on_this_machine_is_not_taken(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle")
    assert Encoder.load(folder, engine="onnxruntime").variant == "int8"
    manifest = read_manifest((folder / "embedkit.json").read_bytes(), "embedkit.json")
    with np.load(folder / "golden.npz") as data:
        golden = dict(data)
    golden["vectors.default"] = -golden["vectors.default"]
    np.savez(folder / "golden.npz", **golden)
    write_manifest(folder, manifest)
    with pytest.warns(RuntimeWarning, match="'int8' does not give its golden vectors"):
        assert Encoder.load(folder, engine="onnxruntime").variant == "fp32"
    assert Encoder.load(folder, variant="int8").variant == "int8"


def test_golden_vectors_are_computed_once_a_machine_and_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    folder = tiny_bundle(tmp_path / "bundle")
    runs: list[int] = []
    run = OnnxRuntime.run

    def counted(self: OnnxRuntime, inputs: Any, outputs: Any) -> Any:
        runs.append(len(outputs))
        return run(self, inputs, outputs)

    monkeypatch.setattr(OnnxRuntime, "run", counted)
    first = Encoder.load(folder, engine="onnxruntime").encode(["a text"])
    once = len(runs)
    assert once > 2
    second = Encoder.load(folder, engine="onnxruntime").encode(["a text"])
    assert (len(runs) - once, first.tobytes()) == (1, second.tobytes())
    Encoder.load(folder, engine="onnxruntime", variant="fp32")  # of which nothing is known yet
    assert len(runs) > once + 1
    monkeypatch.setenv("EMBEDKIT_CACHE", str(folder / "embedkit.json"))  # where nothing can be kept
    for _ in range(2):
        before = len(runs)
        assert Encoder.load(folder, engine="onnxruntime").encode(["a text"]).tobytes() == first.tobytes()
        assert len(runs) - before == once
