"""The tiny bundle keeps what it says, computed here from the golden values of its tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import Encoder, verify
from embedkit.testing.tiny import GOLDEN, tiny_bundle


def test_it_is_verified_with_all_its_kinds(tmp_path: Path) -> None:
    assert verify(tiny_bundle(tmp_path / "bundle", kinds=("dense", "sparse", "multivector"))).passed


def test_the_outputs_are_made_of_the_tokens(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle", dim=5, kinds=("dense", "sparse", "multivector"))
    encoder = Encoder.load(folder, variant="fp32", on_truncate="ignore")
    several = encoder.encode(GOLDEN, output="multivector")
    lengths = [min(len(text.encode()) + 2, 64) for text in GOLDEN]
    assert [len(several[i]) for i in range(len(GOLDEN))] == lengths
    sums = np.stack([several[i].sum(axis=0) for i in range(len(GOLDEN))])
    assert np.allclose(encoder.encode(GOLDEN), sums / np.linalg.norm(sums, axis=1, keepdims=True), atol=1e-6)
    assert np.array_equal(encoder.encode(GOLDEN, output="sparse").dense(), np.maximum(sums, 0))


def test_a_seed_is_a_model(tmp_path: Path) -> None:
    one, same, other = (
        Encoder.load(tiny_bundle(tmp_path / name, seed=seed), variant="fp32")
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert np.array_equal(one.encode("a"), same.encode("a"))
    assert not np.array_equal(one.encode("a"), other.encode("a"))


def test_prefixes_stand_before_the_texts_of_their_role(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "bundle", prefixes={"query": "q: "}), variant="fp32")
    assert np.array_equal(encoder.encode_query("a"), encoder.encode("q: a"))
    assert np.array_equal(encoder.encode_document("a"), encoder.encode("a"))


@pytest.mark.parametrize("variants", [("fp32",), ("int8",)])
def test_only_the_variants_that_are_named(variants: tuple[str, ...], tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "bundle", variants=variants))
    assert encoder.variant == variants[0]
