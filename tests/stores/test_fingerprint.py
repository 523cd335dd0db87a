"""The fingerprint of a collection: whose vectors, and which of several outputs."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.bundle.manifest import Output
from embedkit.errors import CollectionMismatchError
from embedkit.stores.fingerprint import (
    bundle_of,
    chosen,
    firsts,
    is_late,
    remote_space,
    require_same,
    same_space,
    space,
)
from embedkit.stores.keeping import Keeping

OUTPUTS = {
    "words": Output("sparse", 30, "sparse_dot"),
    "cls": Output("dense", 4, "cosine"),
    "mean": Output("dense", 4, "cosine"),
    "tokens": Output("multivector", 4, "maxsim"),
}


def test_the_first_of_each_kind_needs_no_mention():
    assert firsts(OUTPUTS) == {"sparse": "words", "dense": "cls", "multivector": "tokens"}
    assert space("f", OUTPUTS, {"dense": "cls", "sparse": "words"}) == "f"


@pytest.mark.parametrize("fingerprint", ["f", ""])
def test_another_output_is_named_and_found_again(fingerprint: str):
    kept = space(fingerprint, OUTPUTS, {"dense": "mean", "sparse": "words"})
    assert kept != fingerprint
    assert bundle_of(kept) == bundle_of(fingerprint) == fingerprint
    assert chosen(kept, OUTPUTS) == {"sparse": "words", "dense": "mean", "multivector": "tokens"}
    assert chosen(fingerprint, OUTPUTS) == firsts(OUTPUTS)


def test_an_output_that_is_not_there():
    kept = space("f", OUTPUTS, {"dense": "mean"})
    with pytest.raises(CollectionMismatchError, match=r"'mean'.*words, cls"):
        chosen(kept, {name: output for name, output in OUTPUTS.items() if name != "mean"})


def test_a_strangers_model_is_known_again_by_nearly_the_same_vectors():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, 384)).astype(np.float32)
    one = remote_space("a" * 64, vectors)
    assert same_space(one, remote_space("a" * 64, vectors + rng.normal(0, 1e-2, vectors.shape).astype(np.float32)))
    assert not same_space(one, remote_space("b" * 64, vectors))
    assert not same_space(one, remote_space("a" * 64, rng.normal(size=(4, 384)).astype(np.float32)))
    assert not same_space(one, remote_space("a" * 64, vectors[:, :100]))
    assert len(one) < 260


@pytest.mark.parametrize(
    "other",
    ["", "0" * 64, "remote:", "remote:" + "a" * 64, "remote:" + "a" * 64 + ":%%", "remote:" + "a" * 64 + ":AAAA"],
)
def test_what_is_no_strangers_fingerprint_is_another(other):
    one = remote_space("a" * 64, np.ones((1, 3), np.float32))
    assert not same_space(one, other)
    assert not same_space(other, one)


def test_vectors_of_nothing_are_the_same_as_themselves_alone():
    nothing = remote_space("a" * 64, np.zeros((1, 3), np.float32))
    assert same_space(nothing, nothing)
    assert not same_space(nothing, remote_space("a" * 64, np.ones((1, 3), np.float32)))


@pytest.mark.parametrize("names", [{"dense": "cls"}, {"dense": "mean"}])
@pytest.mark.parametrize("keeping", [None, Keeping("int8")])
def test_late_chunks_have_a_space_of_their_own(names: dict[str, str], keeping: Keeping | None):
    late, plain = (space("f", OUTPUTS, names, keeping, late=way) for way in (True, False))
    assert late != plain
    assert (is_late(late), is_late(plain)) == (True, False)
    assert bundle_of(late) == bundle_of(plain) == "f"
    assert chosen(late, OUTPUTS) == chosen(plain, OUTPUTS) == firsts(OUTPUTS) | names
    for found, expected, made in ((late, plain, "late"), (plain, late, "plain")):
        with pytest.raises(CollectionMismatchError, match=f"it holds {made} chunks"):
            require_same("docs", "fingerprint", found, expected)
