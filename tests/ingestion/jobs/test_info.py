"""What a collection is told to be: its rows, bytes and model, and a recall that is that of numpy."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, OptionError
from embedkit.ingestion import info
from embedkit.records.documents import Hit
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.keeping import Keeping
from embedkit.stores.opening import open_store
from embedkit.testing.samples import fresh_name, text_batch, unit_vectors
from helpers import embedded


def filled(store, n: int = 60, keeping: Keeping = Keeping(), dim: int = 16):
    docs = store.ensure(CollectionSpec("docs", dim, "cosine", keeping.added_to('abc outputs {"dense": "b"}')))
    if n:
        docs.upsert(text_batch([str(i) for i in range(n)], vectors=unit_vectors(n, dim=dim)))
        docs.flush()
    return docs


@pytest.mark.parametrize("name", ["memory", "sqlite-vec", "lancedb", "qdrant-edge", "chroma"])
def test_what_stores_tell_of_a_collection(name, tmp_path):
    with embedded.address(name, tmp_path) as url, open_store(url) as store:
        few = Keeping("int8") if "int8" in store.caps.precisions else Keeping()
        filled(store, keeping=few)
        store.switch("known", "docs")
        found = info(store, collection="known")
        assert (found.name, found.collection, found.rows, found.dim, found.metric) == (
            "known",
            "docs",
            60,
            16,
            "cosine",
        )
        assert (found.model, found.precision, found.settings) == ("abc", few.precision, {})
        assert (found.recall, found.sampled) == (1.0, 60)
        assert found.bytes is None if name == "chroma" else found.bytes > 60 * 16
        assert "all rows are compared" in found.index or name == "chroma"
        told = str(found)
        assert "known: 60 rows, in docs" in told
        assert "recall@10  1.0000 of 60" in told
        assert found.to_json()["precision"] == few.precision


def test_a_search_that_misses_rows_has_the_recall_that_is_counted(monkeypatch):
    with open_store(f"memory:{fresh_name('info')}") as store:
        docs = filled(store)
        ask = type(docs.inner).query

        def forgetful(self, vectors, k, *, filter=None):
            return [[hit for hit in hits if int(hit.id) % 2 == 0] for hits in ask(self, vectors, k, filter=filter)]

        monkeypatch.setattr(type(docs.inner), "query", forgetful)
        rows = unit_vectors(60)
        best = np.argsort(-(rows @ rows.T), axis=1)[:, :10]
        assert info(store, collection="docs", sample=60).recall == pytest.approx(np.mean(best % 2 == 0))


def test_equally_near_rows_count_whichever_is_found(monkeypatch):
    with open_store(f"memory:{fresh_name('info')}") as store:
        docs = store.ensure(CollectionSpec("docs", 4, "cosine", ""))
        docs.upsert(text_batch([f"{i:02}" for i in range(30)], vectors=np.repeat(unit_vectors(1, dim=4), 30, axis=0)))
        last = [[Hit(f"{i:02}", 1.0, "", {}) for i in range(20, 30)]]
        monkeypatch.setattr(type(docs.inner), "query", lambda self, vectors, k, filter=None: last * len(vectors))
        assert info(store, collection="docs").recall == 1.0


def test_of_no_rows_and_no_sample_no_recall_is_told():
    with open_store(f"memory:{fresh_name('info')}") as store:
        filled(store, 0)
        assert info(store, collection="docs").recall is None
        filled(store, 5)
        assert info(store, collection="docs", sample=0).recall is None
        assert "recall" not in str(info(store, collection="docs", sample=0))
        with pytest.raises(CollectionNotFoundError):
            info(store, collection="other")
        with pytest.raises(OptionError):
            info(store, collection="docs", sample=-1)
