"""The conformance suite of contract 2: what every vector store must do, as pytest cases to subclass."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Record
from embedkit.records.filters import ORDERINGS, F, Filter
from embedkit.records.metadata import Metadata, content_hash, filterable
from embedkit.stores.contract import METRICS, Collection, CollectionSpec, VectorStore
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.vectors.arrays import FloatArray, unit_length

from ..errors import CollectionMismatchError, CollectionNotFoundError, FilterError, InputError, StoreError
from .kinds_tests import KindsTests
from .samples import (
    FILTER_FIELDS,
    FILTER_NUMBERS,
    FILTER_ROWS,
    FILTER_VALUES,
    LARGE,
    ODD_IDS,
    ODD_METADATA,
    ODD_NAMES,
    comparison,
    random_filter,
)

DIM = 16
MOST_ROWS = 6_000
"""Rows written to exceed ``max_batch_rows``; a store with a higher limit gets this many in one batch."""


class StoreTests(KindsTests):
    """Override `connect`, and ``persistent`` where rows outlive the connection; the rest follows from the
    capabilities."""

    persistent = False
    """Whether what was written is there again after ``close`` and a new connection."""

    @pytest.fixture
    def connect(self) -> Callable[[], VectorStore]:
        """A function that opens the same store each time it is called: to be overridden."""
        raise NotImplementedError("override the fixture 'connect' with a function that opens your store")

    @pytest.fixture
    def store(self, connect: Callable[[], VectorStore]) -> Iterator[GuardedStore]:
        """The store as users get it; collections that a test leaves behind are dropped."""
        store = GuardedStore(connect())
        before = set(store.names())
        yield store
        for name in set(store.names()) - before:
            store.drop(name)
        store.close()

    @pytest.fixture
    def docs(self, store: GuardedStore) -> GuardedCollection:
        """An empty collection under cosine."""
        return store.ensure(CollectionSpec(_fresh("docs"), DIM))

    # Rows

    def test_any_string_is_an_id(self, docs: GuardedCollection) -> None:
        batch = _batch(ODD_IDS)
        assert docs.upsert(batch).written == len(ODD_IDS)
        assert docs.count() == len(ODD_IDS)
        assert [record.id for record in docs.get(ODD_IDS)] == ODD_IDS
        assert docs.hashes(ODD_IDS) == dict(zip(ODD_IDS, batch.hashes, strict=True))
        assert {record.id for record in _scan(docs)} == set(ODD_IDS)
        assert {hit.id for hit in docs.query(batch.vectors[:1], len(ODD_IDS))[0]} == set(ODD_IDS)
        docs.delete(ids=ODD_IDS[::2])
        assert [record.id for record in docs.get(ODD_IDS)] == ODD_IDS[1::2]

    @pytest.mark.parametrize("bad", ["", None, 1, "lone \ud800", "nul \0"])
    def test_what_is_no_id_is_refused(self, docs: GuardedCollection, bad: Any) -> None:
        with pytest.raises(InputError):
            docs.upsert(_batch([bad]))
        assert docs.count() == 0

    def test_upsert_replaces_the_whole_row(self, docs: GuardedCollection) -> None:
        first = _batch(
            ["a", "b"], texts=["old", "kept"], metadata=[{"gone": 1, "kept": "x", "n": {"d": 1}}, {"gone": 1}], seed=1
        )
        second = _batch(["a"], texts=[""], metadata=[{"kept": "y", "new": True}], seed=2)
        docs.upsert(first)
        docs.upsert(second)
        a, b = docs.get(["a", "b"], with_vectors=True)
        assert (a.text, a.metadata, a.hash) == ("", {"kept": "y", "new": True}, second.hashes[0])
        assert np.array_equal(_vector(a), second.vectors[0])
        assert (b.text, b.metadata, b.hash) == ("kept", {"gone": 1}, first.hashes[1])
        assert _matching(docs, F("gone") == 1) == {"b"}
        assert _matching(docs, F("kept") == "x") == set()
        assert _matching(docs, F("new").is_in([True])) == {"a"}
        docs.upsert(_batch(["a"], metadata=[{}], seed=3))
        assert docs.get(["a"])[0].metadata == {}
        assert _matching(docs, F("new").is_in([True])) == set()
        assert docs.count() == 2

    def test_last_of_several_rows_with_one_id_wins(self, docs: GuardedCollection) -> None:
        batch = _batch(
            ["a", "b", "a", "a"], texts=["1", "2", "3", "4"], metadata=[{"n": i, str(i): i} for i in range(4)]
        )
        assert docs.upsert(batch).written == 2
        (a,) = docs.get(["a", "a"], with_vectors=True)
        assert (a.text, a.metadata, a.hash) == ("4", {"n": 3, "3": 3}, batch.hashes[3])
        assert np.array_equal(_vector(a), batch.vectors[3])
        assert docs.count() == 2

    def test_metadata_is_lossless(self, docs: GuardedCollection) -> None:
        ids = [str(i) for i in range(len(ODD_METADATA))]
        assert docs.upsert(_batch(ids, metadata=ODD_METADATA)).failed == ()
        found = docs.get(ids)
        scanned = {record.id: record.metadata for record in _scan(docs)}
        hits = {hit.id: hit.metadata for hit in docs.query(_vectors(1), len(ids))[0]}
        for row_id, record, expected in zip(ids, found, ODD_METADATA, strict=True):
            for metadata in (record.metadata, scanned[row_id], hits[row_id]):
                assert _exact(metadata) == _exact(expected)

    def test_text_comes_back_equal(self, docs: GuardedCollection) -> None:
        texts = [
            "",
            " ",
            "plain",
            "é 日本語 🎉",
            "nul \0 inside",
            "a\r\nb\tc",
            "'\"\\;--",
            "x" * 100_000,
            "\ufeffbom",
            "\uffff",
        ]
        ids = [str(i) for i in range(len(texts))]
        docs.upsert(_batch(ids, texts=texts))
        assert [record.text for record in docs.get(ids)] == texts
        assert {record.id: record.text for record in _scan(docs)} == dict(zip(ids, texts, strict=True))
        assert {hit.id: hit.text for hit in docs.query(_vectors(1), len(ids))[0]} == dict(zip(ids, texts, strict=True))

    def test_a_bad_row_costs_no_good_one(self, docs: GuardedCollection) -> None:
        batch = _batch(
            ["good", "zero", "surrogate", "object", "key", "fine"], texts=["t", "t", "\udc00", "t", "t", "t"]
        )
        batch.vectors[1] = 0
        metadata = [{}, {}, {}, {"x": object()}, {1: "x"}, {}]
        result = docs.upsert(RecordBatch(batch.ids, batch.vectors, batch.texts, metadata, batch.hashes))  # type: ignore[arg-type]
        assert result.written == 2
        assert sorted(row.id for row in result.failed) == ["key", "object", "surrogate", "zero"]
        assert all(row.reason for row in result.failed)
        assert {record.id for record in _scan(docs)} == {"good", "fine"}

    def test_what_is_absent_is_left_out(self, docs: GuardedCollection) -> None:
        docs.upsert(_batch(["a"]))
        assert docs.get(["b"]) == []
        assert docs.get([]) == []
        assert docs.hashes(["a", "b"]).keys() == {"a"}
        assert docs.hashes([]) == {}
        assert docs.delete(ids=["b"]) in (0, None)
        assert docs.delete(ids=[]) in (0, None)
        assert docs.upsert(_batch([])).written == 0
        for bad in ("", "nul \0", "lone \ud800", 1, None):
            for ask in (docs.get, docs.hashes, lambda ids: docs.delete(ids=ids)):
                with pytest.raises(InputError):
                    ask([bad])  # type: ignore[list-item]
        assert docs.get(["a"])[0].vector is None
        assert docs.count() == 1

    # Vectors

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
    def test_vectors_come_back_bit_for_bit(self, store: GuardedStore, metric: Any) -> None:
        docs = _ensure(store, metric)
        vectors = (
            _vectors(50)
            if metric == "cosine"
            else np.random.default_rng(3).normal(0, 100, (50, DIM)).astype(np.float32)
        )
        if metric != "cosine":
            vectors[0] = 0
        ids = [str(i) for i in range(50)]
        docs.upsert(_batch(ids, vectors=vectors))
        found = docs.get(ids, with_vectors=True)
        assert all(_vector(record).dtype == np.float32 and _vector(record).shape == (DIM,) for record in found)
        assert np.array_equal(np.stack([_vector(record) for record in found]), vectors)

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
    def test_query_agrees_with_brute_force(self, store: GuardedStore, metric: Any) -> None:
        docs = _ensure(store, metric)
        rng = np.random.default_rng(5)
        rows, asked = rng.normal(size=(200, DIM)).astype(np.float32), rng.normal(size=(7, DIM)).astype(np.float32)
        docs.upsert(_batch([str(i) for i in range(200)], vectors=rows, metadata=[{"part": i % 4} for i in range(200)]))
        exact = asked.astype(np.float64) @ rows.T.astype(np.float64)
        if metric == "euclidean":
            exact = -np.linalg.norm(asked[:, None, :].astype(np.float64) - rows[None], axis=2)
        if metric == "cosine":
            exact /= np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
        for expression, allowed in ((None, np.arange(200)), (F("part") == 2, np.arange(2, 200, 4))):
            found = docs.query(asked, 10, filter=expression)
            assert len(found) == 7
            for scores, hits in zip(exact, found, strict=True):
                best = np.sort(scores[allowed])[::-1][:10]
                np.testing.assert_allclose([hit.score for hit in hits], best, rtol=1e-6, atol=1e-5)
                np.testing.assert_allclose(
                    [hit.score for hit in hits], scores[[int(hit.id) for hit in hits]], rtol=1e-6, atol=1e-5
                )
                assert len({hit.id for hit in hits}) == 10

    def test_k_above_the_count(self, docs: GuardedCollection) -> None:
        assert docs.query(_vectors(2), 5) == [[], []]
        assert docs.query(_vectors(0), 5) == []
        docs.upsert(_batch(["a", "b", "c"], metadata=[{"x": 1}, {"x": 2}, {}]))
        assert len(docs.query(_vectors(1), 100)[0]) == 3
        assert [hit.id for hit in docs.query(_vectors(1), 100, filter=F("x") == 2)[0]] == ["b"]
        assert docs.query(_vectors(1), 100, filter=F("x") == 3) == [[]]

    def test_rows_among_which_others_were_replaced_are_all_found(self, docs: GuardedCollection) -> None:
        rng = np.random.default_rng(8)
        kept: dict[str, int] = {}
        for turn in range(40):
            ids = [str(n) for n in rng.choice(60, 12, replace=False)]
            docs.upsert(_batch(ids, vectors=rng.normal(size=(12, DIM)).astype(np.float32), metadata=[{"x": turn}] * 12))
            kept.update(dict.fromkeys(ids, turn))
        docs.delete(ids=["7", "8"])
        kept = {row_id: turn for row_id, turn in kept.items() if row_id not in ("7", "8")}
        for expression in (None, F("x") >= 30):
            expected = {row_id for row_id, turn in kept.items() if expression is None or turn >= 30}
            for hits in docs.query(rng.normal(size=(5, DIM)), 100, filter=expression):
                assert {hit.id for hit in hits} == expected
                assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_unusable_vectors_are_refused(self, docs: GuardedCollection) -> None:
        with pytest.raises(InputError, match="NaN"):
            docs.upsert(_batch(["a"], vectors=np.full((1, DIM), np.nan, np.float32)))
        with pytest.raises(InputError, match=str(DIM)):
            docs.upsert(_batch(["a"], vectors=np.ones((1, DIM + 1), np.float32)))
        for wrong in (np.ones((1, DIM - 1)), np.ones(DIM), np.full((1, DIM), np.inf)):
            with pytest.raises(InputError):
                docs.query(wrong, 1)
        for k in (0, -1, True, 1.5):
            with pytest.raises(InputError):
                docs.query(_vectors(1), k)  # type: ignore[arg-type]
        assert docs.count() == 0

    # Filters

    @pytest.fixture
    def filtered(self, docs: GuardedCollection) -> GuardedCollection:
        """A collection of ``FILTER_ROWS`` with their positions as ids."""
        docs.upsert(_batch([str(i) for i in range(len(FILTER_ROWS))], metadata=FILTER_ROWS))
        return docs

    @pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
    def test_every_comparison(self, filtered: GuardedCollection, op: str) -> None:
        for field in FILTER_FIELDS:
            for value in FILTER_NUMBERS if op in ORDERINGS else FILTER_VALUES:
                _check_filter(filtered, comparison(field, op, [value, "never"] if op in ("in", "not in") else value))
        if op in ("in", "not in"):
            _check_filter(filtered, comparison("x", op, [1, "1", True, 2.5, "absent"]))
            _check_filter(filtered, comparison("x", op, []))

    @pytest.mark.parametrize("field", FILTER_FIELDS)
    def test_presence(self, filtered: GuardedCollection, field: str) -> None:
        for expression in (F(field).exists(), F(field).is_none(), F(field).is_in([None, 2])):
            _check_filter(filtered, expression)
            _check_filter(filtered, ~expression)
            _check_filter(filtered, expression & (F("y") == "a"))
            _check_filter(filtered, ~expression | (F("x") > 1))

    @pytest.mark.parametrize("op", sorted(ORDERINGS))
    def test_order_of_text(self, filtered: GuardedCollection, op: str) -> None:
        for value in ("", "1", "B", "a", "Ä", "2024-05-01", "🎉"):
            _check_filter(filtered, comparison("x", op, value))

    @pytest.mark.parametrize("op", sorted(ORDERINGS))
    def test_order_of_large_numbers(self, docs: GuardedCollection, op: str) -> None:
        docs.upsert(_batch([str(i) for i in range(len(LARGE))], metadata=[{"x": value} for value in LARGE]))
        for value in LARGE:
            expression = comparison("x", op, value)
            for whole in (expression, ~expression, expression & (F("x") > 0), expression | (F("x") == 1)):
                expected = {str(i) for i, row in enumerate(LARGE) if whole.matches({"x": row})}
                assert {record.id for record in docs.scan(filter=whole, limit=100).records} == expected, whole
                assert docs.count(whole) == len(expected), whole

    def test_random_expressions(self, filtered: GuardedCollection) -> None:
        for seed in range(60):
            _check_filter(filtered, random_filter(random.Random(seed)))

    def test_filters_on_every_method(self, filtered: GuardedCollection) -> None:
        expression = (F("x") == 2) | (F("y") == "a")
        expected = _expected(expression)
        assert {hit.id for hit in filtered.query(_vectors(1), 100, filter=expression)[0]} == expected
        assert filtered.count(expression) == len(expected)
        assert {record.id for record in _scan(filtered, expression, limit=2)} == expected
        assert filtered.delete(filter=expression) in (len(expected), None)
        assert {record.id for record in _scan(filtered)} == {str(i) for i in range(len(FILTER_ROWS))} - expected
        assert filtered.delete(filter=expression) in (0, None)
        with pytest.raises(InputError):
            filtered.delete()
        with pytest.raises(InputError):
            filtered.delete(ids=["1"], filter=expression)
        with pytest.raises(FilterError):
            filtered.count({"x": 2})  # type: ignore[arg-type]
        for limit in (0, -1, True, 1.5, None):
            with pytest.raises(InputError):
                filtered.scan(limit=limit)  # type: ignore[arg-type]

    def test_an_empty_list_of_values(self, filtered: GuardedCollection) -> None:
        none, all_ = F("x").is_in([]), F("x").not_in([])
        n = len(FILTER_ROWS)
        assert [len(hits) for hits in filtered.query(_vectors(2), 5, filter=none)] == [0, 0]
        assert [len(hits) for hits in filtered.query(_vectors(2), 5, filter=all_)] == [5, 5]
        assert (filtered.count(none), filtered.count(all_)) == (0, n)
        assert _matching(filtered, none | (F("y") == "a")) == _matching(filtered, all_ & (F("y") == "a")) != set()
        assert filtered.delete(filter=none) in (0, None)
        assert filtered.count() == n
        assert filtered.delete(filter=all_) in (n, None)
        assert filtered.count() == 0

    # Many rows

    def test_more_rows_than_one_batch(self, store: GuardedStore) -> None:
        docs = store.ensure(CollectionSpec(_fresh("many"), 8))
        n = min(store.caps.max_batch_rows + 50, MOST_ROWS)
        ids = [f"row {i}" for i in range(n)]
        batch = _batch(ids, vectors=_vectors(n, dim=8), metadata=[{"even": i % 2 == 0} for i in range(n)])
        assert docs.upsert(batch).written == n
        docs.flush()
        assert docs.count() == n
        assert docs.hashes(ids) == dict(zip(ids, batch.hashes, strict=True))
        assert [record.id for record in docs.get(ids)] == ids
        assert sorted(record.id for record in _scan(docs, limit=97)) == sorted(ids)
        assert sorted(record.id for record in _scan(docs, F("even").is_in([True]), limit=97)) == sorted(ids[::2])
        assert docs.delete(filter=F("even").is_in([True])) in (len(ids[::2]), None)
        docs.delete(ids=ids[: n - 1])
        assert [record.id for record in _scan(docs)] == [ids[n - 1]] * ((n - 1) % 2)

    @pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20])
    def test_scan_yields_each_row_once(self, docs: GuardedCollection, rows: int) -> None:
        ids = [f"row {i}" for i in range(rows)]
        docs.upsert(_batch(ids, metadata=[{"third": i % 3 == 0} for i in range(rows)]))
        docs.upsert(_batch(ids[:5], seed=9, metadata=[{"third": i % 3 == 0} for i in range(len(ids[:5]))]))
        assert sorted(record.id for record in _scan(docs, limit=10)) == sorted(ids)
        assert [record.id for record in _scan(docs, limit=10)] == [record.id for record in _scan(docs, limit=3)]
        assert sorted(record.id for record in _scan(docs, F("third").is_in([True]), limit=2)) == sorted(ids[::3])
        assert all(record.vector is None for record in _scan(docs))

    @pytest.mark.parametrize("expression", [None, F("state") == "old", ~(F("n") < 10)])
    def test_a_scan_leaves_out_none_while_rows_are_written_and_deleted(
        self, docs: GuardedCollection, expression: Filter | None
    ) -> None:
        rows: dict[str, Metadata] = {f"row {i}": {"state": "old", "n": i} for i in range(40)}
        expected = [row_id for row_id, row in rows.items() if expression is None or expression.matches(row)]
        for rewritten in (False, True):
            docs.upsert(_batch(list(rows), metadata=list(rows.values())))
            found: list[str] = []
            cursor: str | None = None
            while True:
                page = docs.scan(filter=expression, cursor=cursor, limit=7)
                ids = [record.id for record in page.records]
                if rewritten:
                    docs.upsert(_batch(ids, metadata=[{"state": "new", "n": 0}] * len(ids)))
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
                    docs.upsert(_batch([f"{worker} {turn} {i}" for i in range(10)], metadata=[{"worker": worker}] * 10))
                    docs.upsert(_batch(["shared"], metadata=[{f"only {worker} {turn}": True}]))
                    docs.query(_vectors(1), 3)
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

    # Collections

    def test_ensure_validates_what_is_there(self, store: GuardedStore) -> None:
        spec = CollectionSpec(_fresh("model"), DIM, "cosine", "model one")
        docs = store.ensure(spec)
        docs.upsert(_batch(["a"]))
        assert (docs.info.name, docs.info.dim, docs.info.metric, docs.info.fingerprint) == (
            spec.name,
            DIM,
            "cosine",
            "model one",
        )
        assert store.ensure(spec).count() == 1
        others = [
            CollectionSpec(spec.name, DIM + 1, "cosine", "model one"),
            CollectionSpec(spec.name, DIM, "cosine", "model two"),
        ]
        if "dot" in store.caps.metrics:
            others.append(CollectionSpec(spec.name, DIM, "dot", "model one"))
        for other in others:
            with pytest.raises(CollectionMismatchError):
                store.ensure(other)
        docs.require_fingerprint("model one")
        with pytest.raises(CollectionMismatchError):
            store.open(spec.name).require_fingerprint("model two")
        with pytest.raises(StoreError, match="exists"):
            store.ensure(spec, if_exists="error")
        assert store.ensure(spec).count() == 1
        replaced = store.ensure(CollectionSpec(spec.name, DIM + 1, "cosine", "model two"), if_exists="replace")
        assert (replaced.count(), replaced.info.dim, replaced.info.fingerprint) == (0, DIM + 1, "model two")
        assert store.ensure(CollectionSpec(_fresh("new"), DIM), if_exists="error").count() == 0

    def test_open_drop_and_names(self, store: GuardedStore) -> None:
        name, other = _fresh("one"), _fresh("two")
        with pytest.raises(CollectionNotFoundError):
            store.open(name)
        store.drop(name)
        store.ensure(CollectionSpec(name, DIM)).upsert(_batch(["a"]))
        store.ensure(CollectionSpec(other, DIM))
        assert {name, other} <= set(store.names())
        assert store.names() == sorted(store.names())
        assert store.open(name).count() == 1
        store.drop(name)
        assert name not in store.names()
        assert other in store.names()
        with pytest.raises(CollectionNotFoundError):
            store.open(name)
        assert store.ensure(CollectionSpec(name, DIM)).count() == 0

    def test_a_collection_dropped_meanwhile(self, store: GuardedStore) -> None:
        docs = store.ensure(CollectionSpec(_fresh("dropped"), DIM))
        store.drop(docs.info.name)
        with pytest.raises(StoreError):
            docs.upsert(_batch(["a"]))

    def test_any_string_is_a_collection_name(self, store: GuardedStore) -> None:
        before = store.names()
        names = [name for name in ODD_NAMES if name not in before]
        for name in names:
            store.ensure(CollectionSpec(name, 2)).upsert(
                _batch(["a"], vectors=np.ones((1, 2), np.float32), texts=[name])
            )
        assert set(names) <= set(store.names())
        for name in names:
            docs = store.open(name)
            assert docs.info.name == name
            assert [record.text for record in docs.get(["a"])] == [name]
        store.drop(names[0])
        assert set(names[1:]) <= set(store.names())
        assert names[0] not in store.names()

    def test_the_store_keeps_its_contract_in_types(self, store: GuardedStore, docs: GuardedCollection) -> None:
        assert isinstance(store.inner, VectorStore)
        assert isinstance(docs.inner, Collection)
        assert store.caps.max_batch_rows >= 1
        assert store.caps.metrics <= METRICS
        too_wide = CollectionSpec(_fresh("wide"), store.caps.max_dim + 1)
        with pytest.raises(StoreError, match=str(store.caps.max_dim)):
            store.ensure(too_wide)
        for metric in METRICS - store.caps.metrics:
            with pytest.raises(StoreError, match=metric):
                store.ensure(CollectionSpec(_fresh(metric), DIM, metric))

    def test_rows_outlive_the_connection(self, connect: Callable[[], VectorStore]) -> None:
        if not self.persistent:
            pytest.skip("declared: persistent = False")
        name = _fresh("kept")
        batch = _batch(ODD_IDS, metadata=[{"n": i} for i in range(len(ODD_IDS))])
        with GuardedStore(connect()) as store:
            store.ensure(CollectionSpec(name, DIM, "cosine", "model one")).upsert(batch)
            store.close()
        with GuardedStore(connect()) as store:
            assert name in store.names()
            docs = store.open(name)
            assert (docs.info.dim, docs.info.metric, docs.info.fingerprint) == (DIM, "cosine", "model one")
            found = docs.get(ODD_IDS, with_vectors=True)
            assert [record.text for record in found] == list(batch.texts)
            assert np.array_equal(np.stack([_vector(record) for record in found]), batch.vectors)
            assert docs.query(batch.vectors[3:4], 1)[0][0].id == ODD_IDS[3]
            assert _matching(docs, F("n") == 3) == {ODD_IDS[3]}
            docs.upsert(_batch(["late"]))
            store.drop(name)
        with GuardedStore(connect()) as store:
            assert name not in store.names()


def _fresh(name: str) -> str:
    return f"{name} {uuid.uuid4().hex}"


def _vectors(n: int, *, dim: int = DIM, seed: int = 0) -> FloatArray:
    """(n, dim) float32 of unit length."""
    return unit_length(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def _batch(
    ids: Sequence[str],
    *,
    vectors: FloatArray | None = None,
    texts: Sequence[str] | None = None,
    metadata: Sequence[Metadata] | None = None,
    seed: int = 0,
) -> RecordBatch:
    texts = [f"text of {row_id}" for row_id in ids] if texts is None else texts
    metadata = [{"n": i} for i in range(len(ids))] if metadata is None else metadata
    hashes = [
        content_hash(text.encode("utf-8", "replace").decode(), row) for text, row in zip(texts, metadata, strict=True)
    ]
    return RecordBatch(ids, _vectors(len(ids), seed=seed) if vectors is None else vectors, texts, metadata, hashes)


def _ensure(store: GuardedStore, metric: Any) -> GuardedCollection:
    if metric not in store.caps.metrics:
        pytest.skip(f"declared: no metric {metric}")
    return store.ensure(CollectionSpec(_fresh(metric), DIM, metric))


def _vector(record: Record) -> FloatArray:
    assert record.vector is not None
    return record.vector


def _scan(docs: GuardedCollection, expression: Filter | None = None, *, limit: int = 1000) -> list[Record]:
    out: list[Record] = []
    cursor: str | None = None
    while True:
        page = docs.scan(filter=expression, cursor=cursor, limit=limit)
        assert len(page.records) <= limit
        out.extend(page.records)
        cursor = page.cursor
        if cursor is None:
            return out


def _matching(docs: GuardedCollection, expression: Filter) -> set[str]:
    return {record.id for record in _scan(docs, expression)}


def _exact(value: Any) -> str:
    """Tells apart what ``==`` does not (1 and 1.0, 0.0 and -0.0) and equates NaN with itself; keys in any order."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_exact(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_exact(item) for item in value) + "]"
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _expected(expression: Filter) -> set[str]:
    return {str(i) for i, metadata in enumerate(FILTER_ROWS) if expression.matches(filterable(metadata))}


def _check_filter(docs: GuardedCollection, expression: Filter) -> None:
    """The store, with what embedkit finishes above it, answers as `Filter.matches` does."""
    assert _matching(docs, expression) == _expected(expression), expression
    assert docs.count(expression) == len(_expected(expression)), expression
