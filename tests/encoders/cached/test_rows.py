"""Rows as bytes and back."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import MultiVectors, SparseVectors
from embedkit.bundle.manifest import Output
from embedkit.encoders.cached.rows import from_bytes, to_bytes
from embedkit.vectors.values import equal

DENSE = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("dense", DENSE),
        ("logits", DENSE),
        ("sparse", SparseVectors.of(np.maximum(DENSE, 0))),
        ("multivector", MultiVectors.of([DENSE, DENSE[:1], DENSE[:0]])),
    ],
)
def test_the_same_bits(kind, values):
    assert equal(from_bytes([to_bytes(row) for row in values], Output(kind=kind, dim=4)), values)


@pytest.mark.parametrize(
    ("kind", "row"), [("dense", b"123"), ("dense", bytes(32)), ("sparse", bytes(4)), ("multivector", bytes(4))]
)
def test_others_are_of_no_use(kind, row):
    assert from_bytes([row], Output(kind=kind, dim=4)) is None
