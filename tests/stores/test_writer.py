from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, StoreError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import WriteResult
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.writer import Retry, Writer

QUICK = Retry(attempts=4, first_wait=0.001)


def batch(ids):
    ids = list(ids)
    return RecordBatch(ids, np.ones((len(ids), 2), np.float32), ["t"] * len(ids), [{}] * len(ids), ["h"] * len(ids))


def rows(n):
    return batch(f"r{i}" for i in range(n))


@pytest.fixture
def writer(store):
    return Writer(store.ensure(CollectionSpec("docs", 2, "dot")), QUICK)


def refusing(*ids, error=StoreError):
    def fault(given):
        if set(ids) & set(given.ids):
            raise error("no such row here")

    return fault


def test_a_transient_failure_is_tried_again(writer, faulty):
    failures = iter(range(3))

    def fault(given):
        if next(failures, None) is not None:
            raise TransientStoreError("overloaded")

    faulty.fault = fault
    assert writer.write(rows(5)) == WriteResult(5)
    assert faulty.batches == [[f"r{i}" for i in range(5)]]


def test_attempts_are_bounded_and_the_error_stays_itself(writer, faulty):
    calls = []

    def fault(given):
        calls.append(1)
        raise TransientStoreError("connection refused")

    faulty.fault = fault
    with pytest.raises(TransientStoreError, match="connection refused"):
        writer.write(rows(8))
    assert len(calls) == QUICK.attempts + 1  # and one to see whether the store takes any other row


def test_the_store_is_given_the_time_it_asks_for():
    assert Retry(first_wait=0.1).wait(1, 7.5) == 7.5
    assert Retry(longest_wait=5).wait(1, 7.5) is None
    assert Retry(attempts=2).wait(2, None) is None
    waits = [[Retry(first_wait=1, longest_wait=6).wait(n, None) for _ in range(50)] for n in (1, 2, 3, 4, 5)]
    for most, found in zip((1, 2, 4, 6, 6), waits, strict=True):
        assert most / 2 <= min(found) < max(found) <= most


def test_retry_after_is_waited_for(writer, faulty):
    asked = iter([0.2])

    def fault(given):
        for seconds in asked:
            raise TransientStoreError("slow down", retry_after=seconds)

    faulty.fault = fault
    started = time.monotonic()
    writer.write(rows(1))
    assert time.monotonic() - started >= 0.2


def test_stopping_ends_a_wait(store, faulty):
    stopping = threading.Event()
    writer = Writer(store.ensure(CollectionSpec("docs", 2, "dot")), Retry(first_wait=60), stopping)
    faulty.fault = refusing("r0", error=TransientStoreError)
    started = time.monotonic()
    threading.Timer(0.05, stopping.set).start()
    with pytest.raises(TransientStoreError):
        writer.write(rows(4))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("bad", [{"r0"}, {"r63"}, {"r5", "r6", "r40"}, {f"r{i}" for i in range(1, 64)}])
@pytest.mark.parametrize("error", [StoreError, TransientStoreError])
def test_a_row_that_the_store_refuses_costs_no_other(store, faulty, bad, error):
    writer = Writer(store.ensure(CollectionSpec("docs", 2, "dot")), Retry(attempts=1))
    writer.write(batch(["before"]))
    faulty.fault = refusing(*bad, error=error)
    result = writer.write(rows(64))
    assert {row.id: row.reason for row in result.failed} == dict.fromkeys(bad, "no such row here")
    assert result.written == 64 - len(bad)
    assert set(faulty.texts) == {"before"} | {f"r{i}" for i in range(64)} - bad


def test_the_first_batch_may_hold_bad_rows_too(writer, faulty):
    faulty.fault = refusing("r0", "r1", "r2")
    assert [row.id for row in writer.write(rows(100)).failed] == ["r0", "r1", "r2"]


def test_a_batch_that_is_too_large_is_halved(writer, faulty):
    def fault(given):
        if len(given) > 10:
            raise StoreError("413")

    faulty.fault = fault
    assert writer.write(rows(64)) == WriteResult(64)


def test_a_whole_batch_of_bad_rows_is_told_from_a_broken_store(writer, faulty):
    writer.write(batch(["good"]))
    faulty.fault = refusing(*(f"r{i}" for i in range(8)))
    result = writer.write(rows(8))
    assert (result.written, len(result.failed)) == (0, 8)

    calls = []

    def fault(given):
        calls.append(1)
        raise StoreError("disk full")

    faulty.fault = fault
    with pytest.raises(StoreError, match="disk full"):
        writer.write(rows(512))
    assert len(calls) < 15


def test_a_store_that_takes_nothing_ends_the_run_at_once(writer, faulty):
    calls = []

    def fault(given):
        calls.append(1)
        raise StoreError("forbidden")

    faulty.fault = fault
    with pytest.raises(StoreError, match="forbidden"):
        writer.write(rows(512))
    assert len(calls) < 40


def test_a_collection_that_is_gone_is_no_matter_of_rows(writer, faulty):
    calls = []

    def fault(given):
        calls.append(1)
        raise CollectionNotFoundError("dropped")

    faulty.fault = fault
    with pytest.raises(CollectionNotFoundError):
        writer.write(rows(64))
    assert len(calls) == 1


def test_a_plugin_that_loses_count_is_found_out(writer, faulty, monkeypatch):
    monkeypatch.setattr(faulty.collections["docs"], "upsert", lambda given: WriteResult(len(given) - 1))
    with pytest.raises(StoreError, match="8 rows were sent, 7 acknowledged and 0 refused"):
        writer.write(rows(8))


def test_reading_hashes_is_tried_again(writer, faulty, monkeypatch):
    writer.write(rows(2))
    inner = faulty.collections["docs"]
    real, failures = inner.hashes, iter([1])

    def hashes(ids):
        for _ in failures:
            raise TransientStoreError("busy")
        return real(ids)

    monkeypatch.setattr(inner, "hashes", hashes)
    assert writer.hashes(["r0", "r9"]) == {"r0": "h"}


def test_the_nearest_row_and_its_vector_are_read_with_retries(writer, faulty, monkeypatch):
    vectors = np.eye(2, dtype=np.float32)
    assert writer.nearest(vectors) == [None, None]
    writer.write(rows(3))
    calls = []
    query = type(faulty.collections["docs"]).query

    def failing(self, *given, **options):
        calls.append(given)
        if len(calls) == 1:
            raise TransientStoreError("busy")
        return query(self, *given, **options)

    monkeypatch.setattr(type(faulty.collections["docs"]), "query", failing)
    found = writer.nearest(vectors)
    assert [hit.id for hit in found] == ["r0", "r0"]
    assert len(calls) == 2
    (row,) = writer.whole(["r1", "none"])
    assert (row.id, row.vector.tolist()) == ("r1", [1.0, 1.0])
