"""A bundle's table in a collection, found by vectors that the bundle makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import BundleError, CollectionMismatchError, Encoder, open_store
from embedkit.ingestion import ingest_table
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import DIM, eighths, of_ids

IDS = [str(i) for i in range(2_050)]
VECTORS = eighths(len(IDS), DIM, seed=7) + np.float32(0.0625)


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return Encoder.load(of_ids(tmp_path / "bundle", (IDS, VECTORS)), variant="fp32")


def test_every_row_is_there_once_with_its_vector(encoder: Encoder) -> None:
    with open_store("memory:every") as store:
        for _ in range(2):
            assert ingest_table(encoder, store, collection="items", metric="dot") == len(IDS)
        rows = store.open("items")
        assert rows.count() == len(IDS)
        records = rows.get(["0", "999", "1000", "2049"], with_vectors=True)
        assert np.array_equal([row.vector for row in records], VECTORS[[0, 999, 1000, 2049]])
        assert [row.text for row in records] == ["0", "999", "1000", "2049"]
        query = encoder.encode([[3, 5]])
        best = np.argsort(-(VECTORS @ query[0]), kind="stable")[:5]
        scores = [hit.score for hit in rows.query(query, 5)[0]]
        assert np.allclose(scores, (VECTORS @ query[0])[best], atol=1e-5)


def test_only_what_changed_is_written_again(encoder: Encoder) -> None:
    with open_store("memory:again") as store:
        ingest_table(encoder, store, collection="items")
        store.open("items").delete(ids=["5", "1500"])
        assert ingest_table(encoder, store, collection="items") == len(IDS)
        assert store.open("items").count() == len(IDS)


def test_another_models_collection_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    other = Encoder.load(of_ids(tmp_path / "other", (["1"], VECTORS[:1])), variant="fp32")
    plain = Encoder.load(tiny_bundle(tmp_path / "plain", seed=3), variant="fp32")
    with open_store("memory:other") as store:
        ingest_table(encoder, store, collection="items")
        assert other.fingerprint != plain.fingerprint
        store.drop("items")
        from embedkit.stores.contract import CollectionSpec

        store.ensure(CollectionSpec("items", DIM, "cosine", plain.fingerprint))
        with pytest.raises(CollectionMismatchError):
            ingest_table(encoder, store, collection="items")


def test_a_table_that_is_not_there(encoder: Encoder) -> None:
    with pytest.raises(BundleError, match=r"expected a table of this bundle \(items\), found 'users'"):
        ingest_table(encoder, "memory:none", collection="users", table="users")
