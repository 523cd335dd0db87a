"""Whether a loaded bundle keeps its promises here: dependence on neighbours, nearness, speed."""

from __future__ import annotations

from pathlib import Path

from embedkit import Encoder
from embedkit.runtime import selfcheck


def test_measuring(bundle: Path) -> None:
    encoder = Encoder.load(bundle, engine="onnxruntime")
    slow = Encoder.load(bundle, engine="onnxruntime", token_budget=1)
    found = selfcheck.measure({"fast": encoder.loaded, "slow": slow.loaded})
    assert 0 < found["fast"] < found["slow"]
    texts = selfcheck.pieces(encoder.loaded, encoder.bundle.golden()[0])
    assert len({len(text.split()) for text in texts}) == len(texts) > 10
    assert max(len(text.split()) for text in texts) > encoder.max_tokens - 2
