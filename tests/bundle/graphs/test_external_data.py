"""External data is found wherever an ONNX file names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import BundleError
from embedkit.bundle.graphs.external_data import external_files
from helpers.external_data import external_model


@pytest.mark.parametrize("where", ["initializer", "attribute", "subgraph"])
@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "weights.bin"])
def test_external_data_is_found_wherever_it_stands(tmp_path: Path, where: str, location: str) -> None:
    external_model(tmp_path / "m.onnx", location, where)
    assert external_files(tmp_path / "m.onnx") == {location}


@pytest.mark.parametrize("raw", [b"", b"\xff" * 64, b"\x3a\xff\xff\xff\xff\x0f", b"hello, world"])
def test_what_is_no_onnx_file(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(raw)
    with pytest.raises(BundleError, match=r"m\.onnx"):
        external_files(tmp_path / "m.onnx")
