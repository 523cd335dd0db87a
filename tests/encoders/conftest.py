"""What the tests of encoders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import Encoder


@pytest.fixture(scope="module", params=["fp32", "int8"])
def trained(request: pytest.FixtureRequest, minilm_bundle: Path) -> Encoder:
    """A trained model's encoder, in each of its variants."""
    return Encoder.load(minilm_bundle, variant=request.param, on_truncate="ignore")
