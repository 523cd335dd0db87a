"""A bundle that another machine finds again."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from embedkit.bundle.folder import Bundle
from embedkit.encoders.encoder import Encoder
from embedkit.errors import BundleError
from embedkit.ingestion.distributed import bundle_ref
from embedkit.ingestion.distributed.bundle_ref import BundleRef, pack
from embedkit.testing.tiny import tiny_bundle


def test_the_path_is_taken_where_this_very_bundle_is_there(bundle):
    assert BundleRef.of(Bundle.open(bundle)).folder(lambda: pytest.fail("fetched")) == bundle


def test_a_bundle_that_is_not_there_is_unpacked_once_and_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    made = tiny_bundle(tmp_path / "made", seed=5)
    opened = Bundle.open(made)
    ref, packed, fetched = BundleRef.of(opened), pack(opened), []
    vector = Encoder.load(made, variant="fp32").encode("text").tobytes()
    shutil.rmtree(made)
    folders = [ref.folder(lambda: fetched.append(1) or packed) for _ in range(2)]
    assert folders[0] == folders[1] != made
    assert fetched == [1]
    assert Encoder.load(folders[0], variant="fp32").encode("text").tobytes() == vector


def test_another_bundle_or_none_is_refused_by_name(tmp_path):
    ref = BundleRef.of(Bundle.open(tiny_bundle(tmp_path / "a", seed=1)))
    other = tiny_bundle(tmp_path / "b", seed=2)
    with pytest.raises(BundleError, match="found another bundle"):
        replace(ref, path=str(other)).folder()
    with pytest.raises(BundleError, match="found none"):
        replace(ref, path=str(tmp_path / "nowhere")).folder()


def test_a_bundle_that_is_too_large_is_not_handed_out(bundle, monkeypatch):
    monkeypatch.setattr(bundle_ref, "MOST_BYTES", 10)
    with pytest.raises(BundleError, match="path that all nodes have"):
        pack(Bundle.open(bundle))
