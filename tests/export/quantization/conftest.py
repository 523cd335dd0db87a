"""A fused graph, for the tests of what is made of one."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from embedkit_export import prepare
from embedkit_export.graphs import capture, fuse
from helpers import models


@pytest.fixture(scope="session")
def fused_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = models.save("bert", tmp_path_factory.mktemp("quantize") / "bert", layers=2)
    model = capture.capture(prepare(folder).plan.graphs["default"])
    fuse.fuse(model)
    return bytes(ir.to_proto(model).SerializeToString())


@pytest.fixture
def fused(fused_bytes: bytes) -> ir.Model:
    """Of each test its own: what one of them does to it, no other sees."""
    return ir.from_proto(onnx.load_model_from_string(fused_bytes))
