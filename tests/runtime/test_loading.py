"""What is loaded where options leave it open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import write_manifest
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
