"""Rows that are kept and that no search finds: found by a check, and written again by its repair."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit.errors import StoreError, TransientStoreError
from embedkit.ingestion import check, ingest
from embedkit.ingestion.jobs.findable import unfindable
from embedkit.records.documents import Document
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import open_store
from embedkit.testing.samples import DIM, fresh_name, text_batch, unit_vectors

SOURCE = [Document(f"d{i}", f"text of {i}", {"i": i}) for i in range(90)]


def losing(store: GuardedStore, name: str, lost: Sequence[str]) -> set[str]:
    """Let searches of the collection in memory leave out rows until they are written again; the rows that they leave out."""
    gone = set(lost)
    kind = type(store.inner.open(name))

    class Losing(kind):  # type: ignore[misc, valid-type]
        def query(self, vectors: Any, k: int, *, filter: Any = None) -> Any:
            found = super().query(vectors, k + len(gone), filter=filter)
            return [[hit for hit in hits if hit.id not in gone][:k] for hits in found]

        def upsert(self, batch: Any) -> Any:
            gone.difference_update(batch.ids)
            return super().upsert(batch)

    class Store(type(store.inner)):  # type: ignore[misc]
        caps = replace(store.caps, indexed=True)

        def open(self, name: str) -> Any:
            return Losing(super().open(name)._kept)

        ensure = lambda self, spec: self.open(spec.name)  # noqa: E731

    store.inner = Store(store.inner._collections)  # type: ignore[attr-defined]
    return gone


@pytest.fixture
def docs(encoder) -> GuardedStore:
    store = open_store(f"memory:{fresh_name('found')}")
    ingest(SOURCE, encoder, store, collection="docs")
    return store


def test_lost_rows_are_named_and_written_again(encoder, docs: GuardedStore) -> None:
    assert check(SOURCE, encoder, docs, collection="docs").searched == 0, "its index loses nothing"
    losing(docs, "docs", ["d3", "d77"])
    report = check(SOURCE, encoder, docs, collection="docs")
    assert (report.consistent, report.searched, report.unfound) == (False, 90, 2)
    assert report.ids == {"unfound": ["d3", "d77"]}
    assert "2 that no search finds, not even for their own vectors: 'd3', 'd77'" in str(report)
    assert "all rows searched for by their own vectors" in str(report)
    check(SOURCE, encoder, docs, collection="docs", drop_broken=True)
    assert ingest(SOURCE, encoder, docs, collection="docs", sync=True).written == 2
    assert check(SOURCE, encoder, docs, collection="docs").consistent


def test_a_sample_is_named(encoder, docs: GuardedStore) -> None:
    losing(docs, "docs", [row.id for row in SOURCE[::2]])
    report = check(SOURCE, encoder, docs, collection="docs", searches=30)
    assert report.searched == 30
    assert 5 <= report.unfound <= 25
    assert "30 of 90 rows searched for by their own vectors" in str(report)
    none = check(SOURCE, encoder, docs, collection="docs", searches=0)
    assert none.consistent
    assert "searched" not in str(none)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_rows_among_equal_and_nearer_ones_are_not_lost(metric: Any) -> None:
    store = open_store(f"memory:{fresh_name('equal')}")
    vectors = unit_vectors(300, seed=1)
    vectors[:150] = vectors[0]
    if metric != "cosine":
        vectors *= np.linspace(0.5, 3, 300, dtype=np.float32)[:, None]
        vectors[:150] = vectors[0]
    rows = store.ensure(CollectionSpec("docs", DIM, metric))
    ids = [str(i) for i in range(300)]
    rows.upsert(text_batch(ids, vectors=vectors))
    assert list(unfindable(rows, ids)) == []
    losing(store, "docs", ["200", "299"])
    assert set(unfindable(store.open("docs"), ids)) <= {"200", "299"}
    assert "299" in unfindable(store.open("docs"), ids)


def test_rows_that_the_index_of_a_chroma_folder_has_not(tmp_path: Path, encoder) -> None:
    """Its log, from which the index is read, has lost two of their writes."""
    pytest.importorskip("chromadb")
    url = f"chroma:{tmp_path / 'index'}"
    ingest(SOURCE, encoder, url, collection="docs")
    database = sqlite3.connect(tmp_path / "index" / "chroma.sqlite3")
    with database:
        database.execute("DELETE FROM embeddings_queue WHERE id IN ('d7', 'd60')")
    database.close()
    with open_store(url) as store:
        docs = store.open("docs")
        assert len(docs.query(np.ones((1, docs.info.dim)), 100)[0]) == 88
        assert len(docs.get(["d6", "d7"])) == 2
        with pytest.raises(StoreError, match=r"'d7'.*--repair") as error:
            docs.get(["d6", "d7"], with_vectors=True)
        assert not isinstance(error.value, TransientStoreError)
    for searches in (10_000, 0):
        report = check(SOURCE, encoder, url, collection="docs", searches=searches, vectors=100)
        assert {kind: set(ids) for kind, ids in report.ids.items()} == {"unfound": {"d60", "d7"}}
    check(SOURCE, encoder, url, collection="docs", drop_broken=True)
    ingest(SOURCE, encoder, url, collection="docs", sync=True)
    assert check(SOURCE, encoder, url, collection="docs").consistent
    with open_store(url) as store:
        found: GuardedCollection = store.open("docs")
        rows = found.get([row.id for row in SOURCE], with_vectors=True)
        hits = found.query(np.stack([row.vector for row in rows if row.vector is not None]), 1)
        assert [hit[0].id for hit in hits] == [row.id for row in SOURCE]
