"""A bundle that a test may break."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit.testing.tiny import tiny_bundle


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny")
