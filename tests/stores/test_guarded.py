"""What embedkit does above every store: checks, refusals, names that lead on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embedkit.errors import InputError, StoreError
from embedkit.stores.contract import CollectionSpec
from helpers.recorder import guarded


def test_ensure_refuses_what_the_store_cannot():
    _, opened = guarded(metrics=frozenset({"dot"}), max_dim=4)
    with pytest.raises(StoreError, match=r"no metric 'cosine'; it has \['dot'\]"):
        opened.store.ensure(CollectionSpec("docs", 2))
    with pytest.raises(StoreError, match="at most 4 dimensions, found 5"):
        opened.store.ensure(CollectionSpec("docs", 5, "dot"))


def test_ensure_names_the_stores_that_keep_what_this_one_cannot(entry_points):
    _, opened = guarded(multivector=True, max_dim=4)
    with pytest.raises(
        StoreError, match=r"no sparse vectors; memory:NAME, milvus:FOLDER, .* could.*outputs=\['dense'\]"
    ):
        opened.store.ensure(CollectionSpec("docs", 2, sparse=9))
    with pytest.raises(StoreError, match="at most 4 dimensions, found 5"):
        opened.store.ensure(CollectionSpec("docs", 2, multivector=5))
    _, opened = guarded(sparse=True)
    with pytest.raises(StoreError, match=r"no several vectors a row; lancedb:FOLDER, memory:NAME, pgvector:.* could"):
        opened.store.ensure(CollectionSpec("docs", 0, multivector=5))


def test_if_exists():
    recorder, opened = guarded()
    spec = CollectionSpec("docs", 2, "cosine", "model")
    assert opened.store.ensure(spec).info == recorder.info
    assert recorder.calls == []
    opened.store.ensure(spec, if_exists="replace")
    assert recorder.calls == [("drop", "docs")]
    with pytest.raises(StoreError, match="exists already"):
        opened.store.ensure(spec, if_exists="error")
    opened.store.ensure(replace(spec, name="new"), if_exists="error")
    with pytest.raises(InputError, match="'overwrite'"):
        opened.store.ensure(spec, if_exists="overwrite")


def test_a_store_is_closed_once():
    recorder, opened = guarded()
    with opened.store as store:
        store.close()
    store.close()
    assert recorder.closed == 1


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "a\0"},
        {"name": "\ud800"},
        {"name": 1},
        {"dim": 0},
        {"dim": 1.0},
        {"dim": True},
        {"metric": "l2"},
        {"dim": 0, "sparse": 0},
        {"dim": -1, "sparse": 9},
        {"sparse": -1},
        {"sparse": None},
        {"sparse": True},
        {"multivector": 1.5},
        {"multivector": "9"},
    ],
)
def test_specs_that_are_refused(options):
    with pytest.raises(InputError):
        CollectionSpec(**{"name": "docs", "dim": 2, **options})
