"""Whether a loaded bundle keeps its promises here: dependence on neighbours, nearness, speed."""

from __future__ import annotations

from pathlib import Path

from embedkit import Encoder
from embedkit.runtime import selfcheck


def test_measuring(bundle: Path) -> None:
    encoder = Encoder.load(bundle, engine="onnxruntime")
    slow = Encoder.load(bundle, engine="onnxruntime", token_budget=1)
    tries = (selfcheck.measure({"fast": encoder.loaded, "slow": slow.loaded}) for _ in range(8))
    assert any(0 < found["fast"] < found["slow"] for found in tries), "once at least, whatever else this machine does"
    items = selfcheck.pieces(encoder.loaded, encoder.bundle.golden().texts)
    assert len({len(text.split()) for text in items}) == len(items) > 10
    assert max(len(text.split()) for text in items) > encoder.max_tokens - 2
