"""A collection that is there or not yet."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import CollectionMismatchError, CollectionSpec, StoreError, open_store
from embedkit.integrations.shelf import Shelf

SPEC = CollectionSpec("docs", 2, "cosine", "f" * 64)
VECTORS = np.eye(2, dtype=np.float32)


def test_rows_in_and_out():
    with open_store("memory:shelf") as store:
        shelf = Shelf(store, "docs")
        assert shelf.rows is None
        assert shelf.get(["a"]) == []
        assert shelf.nearest(VECTORS, 3) == [[], []]
        shelf.delete(["a"])
        shelf.drop()
        shelf.write(shelf.made(SPEC), ["a", "b"], ["A", "B"], [{"x": 1}, {}], {"vectors": VECTORS})
        assert [(row.text, row.metadata) for row in shelf.get(["b", "c", "a"])] == [("B", {}), ("A", {"x": 1})]
        assert [hits[0].id for hits in shelf.nearest(VECTORS, 1)] == ["a", "b"]
        shelf.delete(["a", "unknown"])
        assert [row.id for row in shelf.get(["a", "b"])] == ["b"]
        with pytest.raises(CollectionMismatchError):
            shelf.made(CollectionSpec("docs", 3, "cosine", "f" * 64))
        shelf.drop()
        assert shelf.rows is None
        shelf.close()
        assert store.caps


def test_a_row_that_cannot_be_kept_is_named_after_the_others_were_written():
    with open_store("memory:shelf bad") as store:
        shelf = Shelf(store, "docs", metadata_policy="coerce")
        rows = shelf.made(SPEC)
        with pytest.raises(StoreError, match="1 of 2 rows were not written: 'b'"):
            shelf.write(
                rows,
                ["a", "b"],
                ["A", "nul \0 \ud800"[:5]],
                [{}, {}],
                {"vectors": np.array([[1, 0], [0, 0]], np.float32)},
            )
        assert [row.id for row in shelf.get(["a", "b"])] == ["a"]


def test_a_store_by_its_url_is_closed(tmp_path):
    pytest.importorskip("sqlite_vec")
    shelf = Shelf(f"sqlite-vec:{tmp_path}/index.db", "docs")
    shelf.write(shelf.made(SPEC), ["a"], ["A"], [{}], {"vectors": VECTORS[:1]})
    shelf.close()
    with pytest.raises(StoreError):
        shelf.get(["a"])
