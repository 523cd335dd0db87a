"""Copies are rows equal in every column, whatever the stores; a cut copy is finished by the next."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest

from embedkit.errors import CollectionMismatchError, CollectionNotFoundError, InputError, StoreError
from embedkit.ingestion import copy, ingest
from embedkit.ingestion.jobs import copy as copying
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Document
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store as open_memory
from embedkit.stores.opening import open_store
from embedkit.testing.samples import ODD_IDS, ODD_METADATA


def memory() -> GuardedStore:
    return GuardedStore(open_memory(StoreURL.parse(f"memory:{uuid.uuid4()}")))


def filled(store: GuardedStore, metric: str = "dot", name: str = "docs") -> RecordBatch:
    n = len(ODD_IDS)
    metadata = [ODD_METADATA[i % len(ODD_METADATA)] | {"i": i} for i in range(n)]
    vectors = np.random.default_rng(0).normal(0, 10, (n, 5)).astype(np.float32)
    batch = RecordBatch(ODD_IDS, vectors, [f"text {i}" for i in range(n)], metadata, [f"h{i}" for i in range(n)])
    store.ensure(CollectionSpec(name, 5, metric, "model")).upsert(batch)  # type: ignore[arg-type]
    return batch


def same(a: GuardedStore, b: GuardedStore, name: str = "docs") -> bool:
    left, right = (sorted(s.open(name).get(ODD_IDS, with_vectors=True), key=lambda row: row.id) for s in (a, b))
    return (
        a.open(name).info == b.open(name).info
        and [(r.id, r.text, repr(r.metadata), r.hash, r.vector.tobytes()) for r in left]
        == [(r.id, r.text, repr(r.metadata), r.hash, r.vector.tobytes()) for r in right]
        and a.open(name).count() == b.open(name).count()
    )


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
@pytest.mark.parametrize("url", ["chroma:index", "qdrant:index"])
def test_there_and_back(working_folder, entry_points, monkeypatch, metric, url):
    pytest.importorskip({"chroma": "chromadb", "qdrant": "qdrant_client"}[url.partition(":")[0]])
    monkeypatch.setattr(copying, "_PAGE", 7)
    here, back = memory(), memory()
    n = len(filled(here, metric))
    with open_store(url) as there:
        report = copy(here, there, collection="docs")
        assert (report.read, report.written, report.unchanged, report.failed) == (n, n, 0, 0)
        assert same(here, there)
        assert copy(here, there, collection="docs").unchanged == n
        copy(there, back, collection="docs")
    assert same(here, back)


def test_a_copy_that_was_cut_is_finished_by_the_next(monkeypatch, store, faulty):
    monkeypatch.setattr(copying, "_PAGE", 5)
    here = memory()
    filled(here)

    def fail(batch):
        if len(faulty.batches) == 3:
            raise StoreError("no more")

    faulty.fault = fail
    with pytest.raises(StoreError):
        copy(here, store, collection="docs")
    assert len(faulty.written) == 15
    faulty.fault = lambda batch: None
    report = copy(here, store, collection="docs")
    assert (report.unchanged, report.written) == (15, len(ODD_IDS) - 15)
    assert len(faulty.written) == len(set(faulty.written)) == len(ODD_IDS)


def test_another_name_and_only_some_rows():
    here = memory()
    filled(here)
    report = copy(here, here, collection="docs", name="some", filter=F("i") < 4)
    assert report.written == 4
    assert here.open("some").count() == 4
    assert json.loads(report.to_json())["collection"] == "some"
    assert "4 written" in str(report)
    with pytest.raises(InputError, match="same collection"):
        copy(here, here, collection="docs")


def test_what_cannot_be_copied():
    here, there = memory(), memory()
    filled(here)
    there.ensure(CollectionSpec("docs", 5, "dot", "another model"))
    with pytest.raises(CollectionMismatchError):
        copy(here, there, collection="docs")
    with pytest.raises(CollectionNotFoundError):
        copy(here, there, collection="absent")
    assert there.names() == ["docs"]


def test_a_search_in_the_copy_finds_what_one_in_the_source_does(encoder):
    here, there = memory(), memory()
    ingest([Document(str(i), f"text about {i}") for i in range(30)], encoder, here, collection="docs")
    copy(here, there, collection="docs")
    asked = encoder.encode_query(["text about 7"])
    assert here.open("docs").query(asked, 5) == there.open("docs").query(asked, 5)
