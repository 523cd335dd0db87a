"""A captured graph, for the tests of what is done to one."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from embedkit_export import prepare
from embedkit_export.graphs import capture
from embedkit_export.plan.plan import GraphPlan
from helpers import models


@pytest.fixture(scope="session")
def how(tmp_path_factory: pytest.TempPathFactory) -> GraphPlan:
    folder = models.save("bert", tmp_path_factory.mktemp("graph") / "bert", layers=3)
    return prepare(folder).plan.graphs["default"]


@pytest.fixture(scope="session")
def captured_once(how: GraphPlan) -> ir.Model:
    return capture.capture(how)


@pytest.fixture
def captured(captured_once: ir.Model) -> ir.Model:
    """Of each test its own."""
    return captured_once.clone()
