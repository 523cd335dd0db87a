"""Stored features that are scored again with the question: what is asked of the bundle, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import CrossScorer, Encoder, InputError
from embedkit.testing.tiny import tiny_bundle


def test_a_bundle_without_a_cross_graph_says_so(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "bundle"))
    with pytest.raises(InputError, match="expected a cross graph of this bundle .none; give `cross` in the recipe"):
        CrossScorer(encoder)
    with pytest.raises(InputError, match="expected an Encoder"):
        CrossScorer("bundle")  # type: ignore[arg-type]
