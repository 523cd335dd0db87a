"""The conformance cases of many rows: more than a batch, scans, several writers; a part of `StoreTests`."""

from __future__ import annotations

import random
import threading
from contextlib import suppress

import pytest

from embedkit.errors import FilterError, InputError
from embedkit.records.documents import WriteResult
from embedkit.records.filters import Combine, F, Filter, Not
from embedkit.records.metadata import Metadata
from embedkit.stores.contract import Collection, CollectionSpec, VectorStore
from embedkit.stores.guarded import GuardedCollection, GuardedStore

from .samples import fresh_name, scanned, text_batch, unit_vectors

MOST_ROWS = 6_000
"""Rows written to exceed ``max_batch_rows``; a store with a higher limit gets this many in one batch."""
MANY = 70_000
"""Ids, and values of a filter, that are more than a statement of some databases has parameters."""


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

    @pytest.fixture
    def numbered(self, docs: GuardedCollection) -> GuardedCollection:
        """A collection of 60 rows: row i has ``n`` = i, ``t`` the same as text."""
        docs.upsert(text_batch([str(i) for i in range(60)], metadata=[{"n": i, "t": str(i)} for i in range(60)]))
        return docs

    def test_many_ids(self, numbered: GuardedCollection) -> None:
        ids = [f"none {i}" for i in range(MANY)] + ["3", "59"]
        assert [record.id for record in numbered.get(ids)] == ["3", "59"]
        assert numbered.hashes(ids).keys() == {"3", "59"}
        assert numbered.delete(ids=ids) in (2, None)
        assert numbered.count() == 58

    def test_many_values_in_a_filter(self, numbered: GuardedCollection) -> None:
        inside, outside = F("n").is_in(list(range(5, MANY))), F("t").not_in([str(i) for i in range(5, MANY)])
        assert (numbered.count(inside), numbered.count(outside)) == (55, 5)
        assert numbered.count(inside & (F("n") < 8) | outside & (F("n") == 2)) == 4
        assert {hit.id for hit in numbered.query(unit_vectors(1), 9, filter=outside)[0]} == set("01234")
        assert {record.id for record in scanned(numbered, outside)} == set("01234")
        assert numbered.delete(filter=F("n").not_in(list(range(3, MANY)))) in (3, None)
        assert {record.id for record in scanned(numbered)} == {str(i) for i in range(3, 60)}

    def test_many_comparisons_in_a_filter(self, numbered: GuardedCollection) -> None:
        some = Combine("or", tuple(F("n") == i for i in range(50, 1_500)))
        none = Combine("and", tuple(F("t") != str(i) for i in range(5, 1_500)))
        for expression, expected in ((some, 10), (none, 5), (some | none, 15), (~some & ~none, 45)):
            assert numbered.count(expression) == expected
        assert len(numbered.query(unit_vectors(1), 9, filter=none)[0]) == 5

    @pytest.mark.parametrize("levels", [10, 40, 99])
    def test_levels_of_a_filter(self, numbered: GuardedCollection, levels: int) -> None:
        for expression, expected in _deep(levels):
            assert numbered.count(expression) == expected
            assert len(numbered.query(unit_vectors(1), 60, filter=expression)[0]) == expected

    @pytest.mark.parametrize("levels", [101, 1_000, 50_000])
    def test_too_many_levels_of_a_filter_are_refused(self, numbered: GuardedCollection, levels: int) -> None:
        for expression, _ in _deep(levels):
            with pytest.raises(FilterError, match=f"nested {levels:,} levels"):
                numbered.count(expression)
            with pytest.raises(FilterError, match="levels"):
                numbered.delete(filter=expression)

    @pytest.mark.parametrize("many", [4_097, 16_385, 70_000, 2**31, 2**63, 10**30])
    def test_more_hits_than_there_are_rows(self, numbered: GuardedCollection, many: int) -> None:
        assert [len(hits) for hits in numbered.query(unit_vectors(2), many)] == [60, 60]
        assert len(numbered.query(unit_vectors(1), many, filter=F("n") < 7)[0]) == 7
        assert len(numbered.query(unit_vectors(1), many, filter=F("t") < "2")[0]) == 12
        assert len(numbered.scan(limit=many).records) == 60

    def test_a_long_id_is_kept_or_refused_by_name(self, store: GuardedStore, docs: GuardedCollection) -> None:
        rng = random.Random(3)
        sizes = [2_000, 2_600, 5_000, 70_000]
        ids = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size)) for size in sizes]
        most = store.caps.max_id_bytes
        kept = [row_id for row_id in ids if most is None or len(row_id) <= most]
        result = docs.upsert(text_batch([*ids, "short"]))
        assert result.written == len(kept) + 1
        assert {row.id for row in result.failed} == {*ids} - {*kept}
        assert all("bytes" in row.reason for row in result.failed)
        assert {record.id for record in docs.get([*ids, "short"])} == {*kept, "short"}
        assert {record.id for record in scanned(docs)} == {*kept, "short"}

    def test_many_keys_of_metadata_are_kept_or_refused_by_name(self, docs: GuardedCollection) -> None:
        many: Metadata = {f"key {i}": i for i in range(3_000)}
        result = docs.upsert(text_batch(["many", "few"], metadata=[many, {"key 7": 7}]))
        assert {row.id for row in result.failed} <= {"many"}
        assert all("keys" in row.reason for row in result.failed)
        assert docs.count(F("key 7") == 7) == result.written
        assert docs.get(["many"]) == [] if result.failed else docs.get(["many"])[0].metadata == many

    def test_what_is_no_cursor_of_a_page_is_refused_or_finds_no_other_rows(self, docs: GuardedCollection) -> None:
        docs.upsert(text_batch(["1", "2", "3"]))
        for cursor in ("abc", "-1", "9" * 50, "'", '" or "1" == "1', "None", "00000000-0000-0000-0000-000000000000"):
            with suppress(InputError):
                assert {record.id for record in docs.scan(cursor=cursor, limit=2).records} <= {"1", "2", "3"}

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


def _deep(levels: int) -> list[tuple[Filter, int]]:
    """Expressions of so many levels over the rows of ``numbered``, with the number of those that satisfy each."""
    mixed, negated = F("n") < 10, F("n") < 10
    for level in range(levels - 1):
        mixed = Combine("or", (mixed, F("n") == -1)) if level % 2 else Combine("and", (mixed, F("n") >= 0))
        negated = Not(negated)
    return [(mixed, 10), (negated, 10 if levels % 2 else 50)]
