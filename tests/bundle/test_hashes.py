"""The fingerprint covers the space, and not the precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import Bundle, BundleError, Encoder
from helpers.manifests import edit


def test_fingerprint_covers_the_space_and_not_the_precision(minilm_bundle: Path, tiny: Path) -> None:
    a, b = Encoder.load(minilm_bundle, variant="int8"), Encoder.load(minilm_bundle, variant="fp32")
    assert a.fingerprint == b.fingerprint
    assert np.array_equal(a.encode("x").shape, b.encode("x").shape)
    assert Encoder.load(tiny).fingerprint != a.fingerprint
    edit(tiny, lambda m: next(iter(m["towers"].values()))["frontend"]["template"].insert(0, {"lit": "query: "}))
    with pytest.raises(BundleError, match="fingerprint"):
        Bundle.open(tiny)
