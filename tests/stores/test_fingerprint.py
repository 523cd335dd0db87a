"""The fingerprint of a collection: whose vectors, and which of several outputs."""

from __future__ import annotations

import pytest

from embedkit.bundle.manifest import Output
from embedkit.errors import CollectionMismatchError
from embedkit.stores.fingerprint import bundle_of, chosen, firsts, space

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
