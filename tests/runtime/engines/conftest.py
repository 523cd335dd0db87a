"""What the tests of engines share."""

from __future__ import annotations

import pytest

import embedkit.runtime.engines.onnxruntime as engine


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "has_cuda", lambda: True)
