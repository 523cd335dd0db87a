"""Which output gives numbers for classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from embedkit.encoders.logits import logits_output

from embedkit import Encoder, InputError
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import DIM, eighths, with_logits


def test_the_output_of_that_kind_wherever_it_stands(tmp_path: Path) -> None:
    encoder = Encoder.load(with_logits(tmp_path / "bundle", eighths(DIM, 3)))
    assert list(encoder.outputs()) == ["dense", "logits"]
    assert logits_output(encoder) == "logits"


def test_a_bundle_without_one_says_what_it_gives(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "bundle", kinds=("dense", "sparse")))
    with pytest.raises(InputError, match=r"but dense \(dense\), sparse \(sparse\); export a model that has a head"):
        logits_output(encoder)
