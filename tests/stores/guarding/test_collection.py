"""What embedkit does above every collection: checks, unit length, splitting, locking, refusals."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from embedkit.errors import CollectionMismatchError, InputError
from embedkit.records.documents import Hit, Page, Record, RowError, WriteResult
from embedkit.records.filters import OPS, F, Not
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store as open_memory
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from helpers.recorder import guarded, rows, upserted


def test_the_store_gets_unit_vectors_under_cosine_only():
    given = [[3, 4], [0.6, 0.8], [-2, 0]]
    recorder, opened = guarded("cosine")
    opened.docs.upsert(rows(["a", "b", "c"], given))
    np.testing.assert_allclose(upserted(recorder)[0].vectors, [[0.6, 0.8], [0.6, 0.8], [-1, 0]], atol=1e-7)
    opened.docs.query([[0, 5]], 1)
    np.testing.assert_allclose(recorder.calls[-1][1][0], [[0, 1]])
    recorder, opened = guarded("dot")
    opened.docs.upsert(rows(["a", "b", "c"], given))
    assert np.array_equal(upserted(recorder)[0].vectors, np.asarray(given, np.float32))
    opened.docs.query([[0, 5]], 1)
    np.testing.assert_allclose(recorder.calls[-1][1][0], [[0, 5]])


def test_the_callers_array_is_not_changed():
    vectors = np.array([[3, 4]], np.float32)
    _, opened = guarded()
    opened.docs.upsert(rows(["a"], vectors))
    assert vectors.tolist() == [[3, 4]]


def test_bad_rows_are_returned_and_good_ones_written():
    recorder, opened = guarded()
    batch = rows(
        ["a", "zero", "text", "meta", "b"],
        [[1, 0], [0, 0], [1, 0], [1, 0], [0, 1]],
        texts=["", "", "\ud800", "", ""],
        metadata=[{}, {}, {}, {"x": {1}}, {}],
    )
    recorder.answers["upsert"] = WriteResult(1, (RowError("b", "the store said no"),))
    result = opened.docs.upsert(batch)
    assert list(upserted(recorder)[0].ids) == ["a", "b"]
    assert result.written == 1
    assert {row.id: row.reason.split()[0] for row in result.failed} == {
        "zero": "a",
        "text": "text:",
        "meta": "metadata.x:",
        "b": "the",
    }
    assert guarded("dot")[1].docs.upsert(rows(["zero"], [[0, 0]])).failed == ()


def test_a_bad_row_does_not_hide_an_earlier_good_one():
    recorder, opened = guarded()
    result = opened.docs.upsert(rows(["a", "a"], [[1, 0], [0, 0]]))
    assert (result.written, [row.id for row in result.failed]) == (1, ["a"])
    assert upserted(recorder)[0].vectors.tolist() == [[1, 0]]


def test_only_bad_rows_ask_the_store_nothing():
    recorder, opened = guarded()
    assert opened.docs.upsert(rows(["a"], [[0, 0]])).written == 0
    assert opened.docs.upsert(rows([], np.zeros((0, 2)))).written == 0
    assert recorder.calls == []


def test_batches_are_split_by_rows():
    recorder, opened = guarded(max_batch_rows=3)
    ids = [str(i) for i in range(7)]
    assert opened.docs.upsert(rows(ids)).written == 7
    assert [list(batch.ids) for batch in upserted(recorder)] == [ids[:3], ids[3:6], ids[6:]]
    recorder.calls.clear()
    opened.docs.get([*ids, *ids], with_vectors=True)
    opened.docs.hashes(ids)
    assert opened.docs.delete(ids=ids) == 0
    asked = [(name, len(args[0] if args else options["ids"])) for name, args, options in recorder.calls]
    assert asked == [(name, n) for name in ("get", "hashes", "delete") for n in (3, 3, 1)]
    recorder.answers["delete"] = None
    assert opened.docs.delete(ids=ids) is None


def test_a_string_is_no_list_of_ids():
    _, opened = guarded()
    for act in (
        lambda: opened.docs.get("abc"),
        lambda: opened.docs.hashes("abc"),
        lambda: opened.docs.delete(ids="abc"),
    ):
        with pytest.raises(InputError, match="ids: .*found str; put one string in a list"):
            act()


def test_ids_may_come_one_by_one_and_are_given_once():
    recorder, opened = guarded()
    recorder.answers["get"] = [Record(row_id, "", {}, "") for row_id in "cab"]
    assert [record.id for record in opened.docs.get(row_id for row_id in "abbca")] == ["a", "b", "c"]
    assert recorder.calls[-1][1] == (["a", "b", "c"],)


def test_a_filter_that_holds_nowhere_asks_the_store_nothing_and_one_that_holds_everywhere_is_none():
    recorder, opened = guarded()
    nowhere = (F("x") == 1) & F("y").is_in([])
    assert opened.docs.count(nowhere) == opened.docs.delete(filter=nowhere) == 0
    assert opened.docs.scan(filter=nowhere) == Page([])
    assert opened.docs.query(np.ones((2, 2)), 3, filter=nowhere) == [[], []]
    assert recorder.calls == []
    opened.docs.count(~nowhere)
    assert recorder.calls == [("count", (None,), {})]


@pytest.mark.parametrize("thread_safe", [False, True])
def test_a_store_that_is_not_thread_safe_is_asked_once_at_a_time(thread_safe):
    recorder, opened = guarded(thread_safe=thread_safe)
    second = opened.store.ensure(CollectionSpec("docs", 2, "cosine", "model"))
    acts = [
        opened.docs.count,
        second.flush,
        lambda: second.upsert(rows(["a"])),
        lambda: opened.docs.query([[1, 1]], 1),
        lambda: second.get(["a"]),
    ]
    threads = [threading.Thread(target=lambda act=act: [act() for _ in range(20)]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recorder.calls) == 100
    assert (recorder.most_running == 1) == (not thread_safe)


def test_equal_scores_are_ordered_by_id():
    recorder, opened = guarded()
    recorder.answers["query"] = [[Hit(row_id, score, "", {}) for row_id, score in (("b", 0.5), ("c", 0.9), ("a", 0.5))]]
    assert [hit.id for hit in opened.docs.query([[1, 0]], 3)[0]] == ["c", "a", "b"]


def test_not_is_moved_inwards_where_the_store_lacks_it():
    recorder, opened = guarded(filter_ops=OPS - {"not"})
    opened.docs.count(~((F("x") == 1) & F("y").is_in([2])))
    assert recorder.calls[-1][1][0] == (F("x") != 1) | F("y").not_in([2])
    recorder, opened = guarded()
    opened.docs.count(~(F("x") < 1))
    assert recorder.calls[-1][1][0] == Not(F("x") < 1)


def test_weights_that_the_store_does_not_take_are_refused():
    recorder, opened = guarded("dot", sparse=True, negative_weights=False, max_weights=2)
    recorder.info = replace(recorder.info, sparse=4)
    weights = SparseVectors.of([[1, 2, 0, 0], [1, 2, 3, 0], [0, -1, 0, 0], [0, 0, 0, 0], [-1, 0, 1, 1]])
    result = opened.docs.upsert(rows(list("abcde"), sparse=weights))
    assert list(upserted(recorder)[0].ids) == ["a", "d"]
    assert upserted(recorder)[0].sparse == weights[[0, 3]]
    assert {row.id: row.reason.split(" in ")[0].split(" with ")[0] for row in result.failed} == {
        "b": "this store takes at most 2 numbers other than 0",
        "c": "this store takes no sparse vector",
        "e": "this store takes at most 2 numbers other than 0",
    }


def test_what_is_no_sparse_or_multi_vector_is_refused():
    recorder, opened = guarded("dot", sparse=True, multivector=True)
    for ask in (opened.docs.query_sparse, opened.docs.query_multivector):
        for given in (np.ones((1, 2)), [1.0], None, "text"):
            with pytest.raises(InputError, match=f"found {type(given).__name__}"):
                ask(given, 3)
    with pytest.raises(InputError, match="keeps no sparse vectors"):
        opened.docs.query_sparse(SparseVectors.of([[1.0, 0]]), 3)
    with pytest.raises(InputError, match="does not keep several vectors"):
        opened.docs.query_multivector(MultiVectors.of([np.ones((1, 2))]), 3)
    recorder.info = replace(recorder.info, dim=0, sparse=2)
    with pytest.raises(InputError, match="keeps no dense vectors"):
        opened.docs.query(np.ones((1, 0)), 3)
    assert recorder.calls == []


def test_fingerprints():
    _, opened = guarded()
    opened.docs.require_fingerprint("model")
    with pytest.raises(CollectionMismatchError, match="another model's vectors"):
        opened.docs.require_fingerprint("other")


@pytest.mark.parametrize("ops", [OPS, OPS - {">="}])
@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_records_and_pages_go_to_the_end(ops: frozenset[str], size: int):
    inner = open_memory(StoreURL.parse(f"memory:to the end {len(ops)} {size}"))
    inner.caps = replace(inner.caps, filter_ops=ops)
    docs = GuardedStore(inner).ensure(CollectionSpec("docs", 2))
    ids = [f"{i:02}" for i in range(7)]
    docs.upsert(rows(ids, metadata=[{"n": i} for i in range(7)]))
    assert [record.id for record in docs.records(size=size)] == ids
    assert [record.id for record in docs.records(F("n") >= 4, size=size)] == ids[4:]
    pages = list(docs.pages(F("n") >= 4, size=size))
    assert [record.id for page in pages for record in page] == ids[4:]
    assert all(len(page) <= size for page in pages)
    assert list(docs.records(F("n").is_in([]))) == []
    for bad in (0, -1, True, 1.5):
        with pytest.raises(InputError, match="size"):
            docs.records(size=bad)  # type: ignore[arg-type]


def test_a_page_is_read_when_it_is_wanted():
    recorder, here = guarded()
    recorder.answers["scan"] = Page([Record("a", "", {}, "")], "a")
    records = here.docs.records()
    assert recorder.calls == []
    next(records)
    next(records)
    assert [(name, options["cursor"]) for name, _, options in recorder.calls] == [("scan", None), ("scan", "a")]
