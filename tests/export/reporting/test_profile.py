"""What a profile says; a bundle as the measured thing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest

from embedkit_export.reporting.profile import Profile, explain


def test_every_share_adds_up_to_the_time(bundle: Path) -> None:
    (found,) = explain(bundle, ["fp32"])
    graph = onnx.load(bundle / "model.fp32.onnx").graph
    assert found.operators == dict(Counter(node.op_type for node in graph.node))
    assert sum(found.seconds.values()) == pytest.approx(1, abs=0.01)
    assert found.tokens_per_second > 0
    assert explain(bundle, ["none"]) == []


def test_for_a_terminal() -> None:
    text = Profile("int8", 2_500_000, 12345.6, {"MatMul": 3}, {"MatMul": 0.75, "Add": 0.25}).text()
    assert text.splitlines()[0] == "int8: 2.5 MB, 12,346 tokens per CPU-second"
    assert "3 MatMul" in text
    assert "MatMul 75.0%, Add 25.0%" in text
