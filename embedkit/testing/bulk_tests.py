"""The conformance cases of many rows: more than a batch, scans, several writers; a part of `StoreTests`."""

from __future__ import annotations

import threading

import pytest

from embedkit.records.documents import WriteResult
from embedkit.records.filters import F, Filter
from embedkit.records.metadata import Metadata
from embedkit.stores.contract import Collection, CollectionSpec, VectorStore
from embedkit.stores.guarded import GuardedCollection, GuardedStore

from .samples import fresh_name, scanned, text_batch, unit_vectors

MOST_ROWS = 6_000
"""Rows written to exceed ``max_batch_rows``; a store with a higher limit gets this many in one batch."""


class BulkTests:
    """Many rows: more than a batch, scans, several writers."""

    def test_more_rows_than_one_batch(self, store: GuardedStore) -> None:
        docs = store.ensure(CollectionSpec(fresh_name("many"), 8))
        n = min(store.caps.max_batch_rows + 50, MOST_ROWS)
        ids = [f"row {i}" for i in range(n)]
        batch = text_batch(ids, vectors=unit_vectors(n, dim=8), metadata=[{"even": i % 2 == 0} for i in range(n)])
        assert docs.upsert(batch).written == n
        docs.flush()
        assert docs.count() == n
        assert docs.hashes(ids) == dict(zip(ids, batch.hashes, strict=True))
        assert [record.id for record in docs.get(ids)] == ids
        assert sorted(record.id for record in scanned(docs, limit=97)) == sorted(ids)
        assert sorted(record.id for record in scanned(docs, F("even").is_in([True]), limit=97)) == sorted(ids[::2])
        assert docs.delete(filter=F("even").is_in([True])) in (len(ids[::2]), None)
        docs.delete(ids=ids[: n - 1])
        assert [record.id for record in scanned(docs)] == [ids[n - 1]] * ((n - 1) % 2)

    @pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20])
    def test_scan_yields_each_row_once(self, docs: GuardedCollection, rows: int) -> None:
        ids = [f"row {i}" for i in range(rows)]
        docs.upsert(text_batch(ids, metadata=[{"third": i % 3 == 0} for i in range(rows)]))
        docs.upsert(text_batch(ids[:5], seed=9, metadata=[{"third": i % 3 == 0} for i in range(len(ids[:5]))]))
        assert sorted(record.id for record in scanned(docs, limit=10)) == sorted(ids)
        assert [record.id for record in scanned(docs, limit=10)] == [record.id for record in scanned(docs, limit=3)]
        assert sorted(record.id for record in scanned(docs, F("third").is_in([True]), limit=2)) == sorted(ids[::3])
        assert all(record.vector is None for record in scanned(docs))

    @pytest.mark.parametrize("expression", [None, F("state") == "old", ~(F("n") < 10)])
    def test_a_scan_leaves_out_none_while_rows_are_written_and_deleted(
        self, docs: GuardedCollection, expression: Filter | None
    ) -> None:
        rows: dict[str, Metadata] = {f"row {i}": {"state": "old", "n": i} for i in range(40)}
        expected = [row_id for row_id, row in rows.items() if expression is None or expression.matches(row)]
        for rewritten in (False, True):
            docs.upsert(text_batch(list(rows), metadata=list(rows.values())))
            found: list[str] = []
            cursor: str | None = None
            while True:
                page = docs.scan(filter=expression, cursor=cursor, limit=7)
                ids = [record.id for record in page.records]
                if rewritten:
                    docs.upsert(text_batch(ids, metadata=[{"state": "new", "n": 0}] * len(ids)))
                else:
                    docs.delete(ids=ids)
                found += ids
                cursor = page.cursor
                if cursor is None:
                    break
            assert sorted(found) == sorted(expected)

    def test_writers_in_several_threads(self, docs: GuardedCollection) -> None:
        failures: list[BaseException] = []

        def write(worker: int) -> None:
            try:
                for turn in range(4):
                    docs.upsert(
                        text_batch([f"{worker} {turn} {i}" for i in range(10)], metadata=[{"worker": worker}] * 10)
                    )
                    docs.upsert(text_batch(["shared"], metadata=[{f"only {worker} {turn}": True}]))
                    docs.query(unit_vectors(1), 3)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert docs.count() == 161
        assert all(docs.count(F("worker") == worker) == 40 for worker in range(4))
        marks = [F(f"only {worker} {turn}").is_in([True]) for worker in range(4) for turn in range(4)]
        assert sum(docs.count(mark) for mark in marks) == 1

    # Raw: the plugin by itself

    def test_raw_a_batch_of_as_many_rows_as_declared(self, raw_store: VectorStore) -> None:
        n = min(raw_store.caps.max_batch_rows, MOST_ROWS)
        docs = raw_store.ensure(CollectionSpec(fresh_name("full"), 8))
        batch = text_batch([f"row {i}" for i in range(n)], vectors=unit_vectors(n, dim=8))
        assert docs.upsert(batch) == WriteResult(n)
        assert docs.hashes(batch.ids) == dict(zip(batch.ids, batch.hashes, strict=True))
        assert sorted(record.id for record in docs.get(batch.ids)) == sorted(batch.ids)
        assert docs.delete(ids=batch.ids[: n - 1]) in (n - 1, None)
        docs.flush()
        assert docs.count() == 1

    @pytest.mark.parametrize("limit", [1, 7, 10, 30, 100])
    def test_raw_a_scan_is_whole_and_in_a_fixed_order(
        self, raw_store: VectorStore, raw_docs: Collection, limit: int
    ) -> None:
        ids = [f"row {i}" for i in range(30)]
        size = raw_store.caps.max_batch_rows
        for start in range(0, 30, size):
            part = ids[start : start + size]
            raw_docs.upsert(text_batch(part, metadata=[{"third": int(row_id[4:]) % 3 == 0} for row_id in part]))
        order = [record.id for record in scanned(raw_docs, limit=limit)]
        assert sorted(order) == sorted(ids)
        assert order == [record.id for record in scanned(raw_docs, limit=13)]
        cursor: str | None = None
        for start in range(0, 30, limit):
            page = raw_docs.scan(cursor=cursor, limit=limit)
            assert [record.id for record in page.records] == order[start : start + limit]
            assert all(record.vector is None and record.hash and record.text for record in page.records)
            cursor = page.cursor
            assert cursor is not None or start + limit >= 30
        if "==" in raw_store.caps.filter_ops:
            some = scanned(raw_docs, F("third") == True, limit=limit)  # noqa: E712
            assert [record.id for record in some] == [row_id for row_id in order if int(row_id[4:]) % 3 == 0]
