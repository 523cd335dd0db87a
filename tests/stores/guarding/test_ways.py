"""Ways of keeping vectors that a store has not, by name, with those that have them."""

from __future__ import annotations

import pytest

from embedkit.errors import OptionError, StoreError
from embedkit.stores.contract import Capabilities, CollectionSpec
from embedkit.stores.guarding.ways import require_ways
from embedkit.stores.keeping import Keeping

ABLE = Capabilities(precisions=frozenset({"float32", "int8"}), index=frozenset({"m"}))


def spec(precision: str = "float32", metric: str = "cosine", dim: int = 3, **index: int) -> CollectionSpec:
    kept = Keeping.made(precision, index).added_to("f")
    return CollectionSpec("docs", dim, metric, kept, sparse=7)  # type: ignore[arg-type]


def test_what_a_store_has_is_let_through():
    for fine in (spec(), spec("int8"), spec("int8", m=3), spec(dim=0)):
        require_ways(fine, ABLE)
    require_ways(spec(), Capabilities())


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (spec("float16"), StoreError, "keeps no float16 vectors; it keeps float32, int8; .*could"),
        (spec(ef=3), StoreError, "index takes m, and not 'ef'; .*could"),
        (spec("int8", "dot"), OptionError, "for the metric cosine, found 'dot'"),
        (spec("int8", dim=0), OptionError, "it keeps none"),
        (spec(m=3, dim=0), OptionError, "it keeps none"),
    ],
)
def test_what_it_has_not_is_named(wanted, error, words):
    with pytest.raises(error, match=words):
        require_ways(wanted, ABLE)


def test_a_store_without_settings_says_so():
    with pytest.raises(StoreError, match="takes no setting"):
        require_ways(spec(m=3), Capabilities())
