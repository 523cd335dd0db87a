"""Qdrant's engine in this process."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, MissingExtraError, StoreError, StoreURLError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.testing import StoreTests
from embedkit.testing.samples import DIM, text_batch
from embedkit.vectors.arrays import unit_length

pytest.importorskip("qdrant_edge")
from embedkit_qdrant_edge import _store, open_store
from helpers.writing import SPEC, assert_acknowledged, kill_after, rows, writer


def opened(folder) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(f"qdrant-edge:{folder}")))


class TestQdrantEdge(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: open_store(StoreURL.parse(f"qdrant-edge:{tmp_path}/index"))


@pytest.mark.parametrize("flush_every", [20_000, 200])
def test_what_was_acknowledged_survives_a_kill(tmp_path, flush_every):
    child = writer(
        "embedkit_qdrant_edge",
        f"qdrant-edge:{tmp_path}",
        before=f"embedkit_qdrant_edge._store._FLUSH_EVERY = {flush_every}",
    )
    last = kill_after(child, 60)
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        assert_acknowledged(docs, last)
        docs.upsert(rows("after", 3))
        assert docs.count(F("turn") == "0") == 50
    with opened(tmp_path) as store:
        docs = store.open(SPEC.name)
        docs.flush()
        assert_acknowledged(docs, last)
        assert docs.delete(filter=F("turn") == "after") == 3
    with opened(tmp_path) as store:
        assert store.open(SPEC.name).get(["after 0"]) == []


def test_an_order_of_numbers_holds_to_the_last_digit(tmp_path):
    """Edge reads some numbers of its own files as the next float64: 0.9999999999999999 as 1."""
    tiny = -5.529796759077383e-257
    bounds = [1, 1.0, tiny, 0.1, 7, 123456.78901234567]
    values = [*bounds, *(math.nextafter(v, w) for v in bounds for w in (-math.inf, math.inf)), 2, -3.5, 0]
    with opened(tmp_path) as store:
        docs = store.ensure(CollectionSpec("docs", DIM))
        docs.upsert(text_batch([str(i) for i in range(len(values))], metadata=[{"x": value} for value in values]))
    for _ in range(2):  # as it was written, and as it is read again
        with opened(tmp_path) as store:
            docs = store.open("docs")
            x = F("x")
            for which in (one for v in values for one in (x < v, x <= v, x > v, x >= v)):
                found = {record.id for page in docs.pages(which) for record in page}
                assert found == {str(i) for i, value in enumerate(values) if which.matches({"x": value})}, which


def test_another_process_is_kept_out_while_a_collection_is_open(tmp_path):
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 3))
        child = writer("embedkit_qdrant_edge", f"qdrant-edge:{tmp_path}", turns=1, quiet=True)
        assert child.communicate()[1].count("another process or store has it open: close that first") == 1
        assert child.returncode != 0
        with opened(tmp_path) as other:
            assert other.names() == [SPEC.name]
            for act in (lambda: other.open(SPEC.name), lambda: other.drop(SPEC.name)):
                with pytest.raises(StoreError, match="close that first"):
                    act()
        assert docs.count() == 3
    child = writer("embedkit_qdrant_edge", f"qdrant-edge:{tmp_path}", turns=2)
    child.communicate()
    assert child.returncode == 0
    with opened(tmp_path) as store:
        assert store.open(SPEC.name).count() == 103


def test_one_store_opens_a_collection_as_often_as_it_is_asked(tmp_path):
    with opened(tmp_path) as store:
        one, other = store.ensure(SPEC), store.open(SPEC.name)
        one.upsert(rows("a", 3))
        assert other.count() == 3
        store.drop(SPEC.name)
        for docs in (one, other):
            with pytest.raises(CollectionNotFoundError, match="create it anew"):
                docs.count()
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_a_large_collection_is_searched_by_its_index(tmp_path, monkeypatch, metric):
    monkeypatch.setattr(_store, "INDEX_FROM_ROWS", 1_000)
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(6_000, 6)) @ rng.normal(size=(6, 32))).astype(np.float32)
    asked = vectors[:20] + 0.1
    with opened(tmp_path) as store:
        docs = store.ensure(CollectionSpec("many", 32, metric))
        for start in range(0, 6_000, 500):
            ids = [str(i) for i in range(start, start + 500)]
            columns = (
                [""] * 500,
                [{"tenth": int(row_id) % 10, "even": int(row_id) % 2 == 0} for row_id in ids],
                [""] * 500,
            )
            docs.upsert(RecordBatch(ids, vectors[start : start + 500], *columns))
        assert docs.inner._shard.info().indexed_vectors_count == 0
        docs.flush()
        assert docs.inner._shard.info().indexed_vectors_count >= 5_000
        kept, of = (unit_length(vectors), unit_length(asked)) if metric == "cosine" else (vectors, asked)
        scores = -np.linalg.norm(of[:, None] - kept[None], axis=2) if metric == "euclidean" else of @ kept.T
        for allowed, expression in ((np.arange(6_000), None), (np.arange(3, 6_000, 10), F("tenth") == 3)):
            same = 0
            for row, hits in zip(scores, docs.query(asked, 10, filter=expression), strict=True):
                best = allowed[np.argsort(-row[allowed])[:10]]
                same += len({int(hit.id) for hit in hits} & set(best.tolist()))
                np.testing.assert_allclose(
                    [hit.score for hit in hits], row[[int(hit.id) for hit in hits]], rtol=1e-4, atol=1e-4
                )
            assert same >= 0.95 * 200
        assert len(docs.query(asked[:1], 10**9)[0]) == 6_000
        assert len(docs.query(asked[:1], 6_000, filter=F("even") == True)[0]) == 3_000  # noqa: E712
        docs.upsert(RecordBatch(["new"], vectors[:1] * 9, ["t"], [{"tenth": 3}], ["h"]))
        assert "new" in {hit.id for hit in docs.query(vectors[:1] * 9, 5, filter=F("tenth") == 3)[0]}


def test_what_a_kill_left_half_made_is_no_collection(tmp_path):
    (tmp_path / ".0123" / "shard").mkdir(parents=True)
    with opened(tmp_path) as store:
        assert store.names() == []
        assert store.ensure(SPEC).count() == 0
        assert store.names() == [SPEC.name]


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "file").write_text("theirs")
    with opened(tmp_path) as store:
        assert store.names() == []
        for act in (lambda: store.open("foreign"), lambda: store.ensure(CollectionSpec("foreign", 4))):
            with pytest.raises(StoreError, match="not made by embedkit"):
                act()
        store.drop("foreign")
    assert (tmp_path / "foreign" / "file").read_text() == "theirs"


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="permissions"):
        opened(tmp_path / "file")


@pytest.mark.parametrize("text", ["qdrant-edge:", "qdrant-edge://", "qdrant-edge://host", "qdrant-edge+grpc:index"])
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError, match="qdrant-edge:PATH"):
        open_store(StoreURL.parse(text))


def test_a_closed_store_says_so(tmp_path):
    store = opened(tmp_path)
    docs = store.ensure(SPEC)
    store.close()
    store.close()
    for act in (docs.count, store.names, lambda: docs.upsert(rows("a", 1)), lambda: store.drop("docs")):
        with pytest.raises(StoreError, match="closed"):
            act()


def test_importing_the_plugin_is_light_and_a_missing_client_names_its_extra(monkeypatch):
    code = "import sys, embedkit_qdrant_edge; assert not {'qdrant_edge', 'qdrant_client', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[qdrant-edge\]"):
        open_store(StoreURL.parse("qdrant-edge:index"))
