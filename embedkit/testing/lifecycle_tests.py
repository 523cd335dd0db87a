"""The conformance cases of collections and connections: made, opened, dropped, closed; a part of `StoreTests`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from embedkit.errors import CollectionMismatchError, CollectionNotFoundError, StoreError
from embedkit.records.filters import F
from embedkit.stores.contract import METRICS, Collection, CollectionInfo, CollectionSpec, VectorStore
from embedkit.stores.guarded import GuardedCollection, GuardedStore

from .samples import DIM, ODD_IDS, ODD_NAMES, dense_of, fresh_name, matching, text_batch, unit_vectors


class LifecycleTests:
    """Collections and connections: made, opened, dropped, closed."""

    persistent = False

    def test_ensure_validates_what_is_there(self, store: GuardedStore) -> None:
        spec = CollectionSpec(fresh_name("model"), DIM, "cosine", "model one")
        docs = store.ensure(spec)
        docs.upsert(text_batch(["a"]))
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
        assert store.ensure(CollectionSpec(fresh_name("new"), DIM), if_exists="error").count() == 0

    def test_open_drop_and_names(self, store: GuardedStore) -> None:
        name, other = fresh_name("one"), fresh_name("two")
        with pytest.raises(CollectionNotFoundError):
            store.open(name)
        store.drop(name)
        store.ensure(CollectionSpec(name, DIM)).upsert(text_batch(["a"]))
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
        docs = store.ensure(CollectionSpec(fresh_name("dropped"), DIM))
        store.drop(docs.info.name)
        with pytest.raises(StoreError):
            docs.upsert(text_batch(["a"]))

    def test_any_string_is_a_collection_name(self, store: GuardedStore) -> None:
        before = store.names()
        names = [name for name in ODD_NAMES if name not in before]
        for name in names:
            store.ensure(CollectionSpec(name, 2)).upsert(
                text_batch(["a"], vectors=np.ones((1, 2), np.float32), texts=[name])
            )
        assert set(names) <= set(store.names())
        for name in names:
            docs = store.open(name)
            assert docs.info.name == name
            assert [record.text for record in docs.get(["a"])] == [name]
        store.drop(names[0])
        assert set(names[1:]) <= set(store.names())
        assert names[0] not in store.names()

    def test_a_name_leads_to_another_collection_and_back(self, store: GuardedStore) -> None:
        name, other, later = (fresh_name(each) for each in ("docs", "other", "later"))
        for each in (name, other, later):
            store.ensure(CollectionSpec(each, DIM)).upsert(text_batch(["a"], texts=[each]))

        def text() -> list[str]:
            return [row.text for row in store.open(name).get(["a"])]

        before = store.open(name)
        assert (text(), store.resolve(name)) == ([name], name)
        store.switch(name, other)
        assert (text(), store.resolve(name), before.get(["a"])[0].text) == ([other], other, name)
        store.switch(name, later)
        assert text() == [later]
        assert [alias.former for alias in store.aliases() if alias.name == name] == [(name, other)]
        assert store.switch_back(name).collection == other
        assert text() == [other]
        store.ensure(CollectionSpec(name, DIM)).upsert(text_batch(["b"]))
        assert (store.open(other).count(), store.exact().open(name).count()) == (2, 1)
        with pytest.raises(StoreError, match="leads to it"):
            store.drop(other)
        assert set(store.drop_former(name)) == {name, later}
        assert (text(), name in store.names(), later in store.names()) == ([other], True, False)
        store.drop(name)
        assert {name, other}.isdisjoint(store.names())
        with pytest.raises(CollectionNotFoundError):
            store.open(name)

    def test_the_store_keeps_its_contract_in_types(self, store: GuardedStore, docs: GuardedCollection) -> None:
        assert isinstance(store.inner, VectorStore)
        assert isinstance(docs.inner, Collection)
        assert store.caps.max_batch_rows >= 1
        assert store.caps.metrics <= METRICS
        too_wide = CollectionSpec(fresh_name("wide"), store.caps.max_dim + 1)
        with pytest.raises(StoreError, match=str(store.caps.max_dim)):
            store.ensure(too_wide)
        for metric in METRICS - store.caps.metrics:
            with pytest.raises(StoreError, match=metric):
                store.ensure(CollectionSpec(fresh_name(metric), DIM, metric))

    def test_rows_outlive_the_connection(self, connect: Callable[[], VectorStore]) -> None:
        if not self.persistent:
            pytest.skip("declared: persistent = False")
        name = fresh_name("kept")
        batch = text_batch(ODD_IDS, metadata=[{"n": i} for i in range(len(ODD_IDS))])
        with GuardedStore(connect()) as store:
            store.ensure(CollectionSpec(name, DIM, "cosine", "model one")).upsert(batch)
            store.close()
        with GuardedStore(connect()) as store:
            assert name in store.names()
            docs = store.open(name)
            assert (docs.info.dim, docs.info.metric, docs.info.fingerprint) == (DIM, "cosine", "model one")
            found = docs.get(ODD_IDS, with_vectors=True)
            assert [record.text for record in found] == list(batch.texts)
            assert np.array_equal(np.stack([dense_of(record) for record in found]), batch.vectors)
            assert docs.query(batch.vectors[3:4], 1)[0][0].id == ODD_IDS[3]
            assert matching(docs, F("n") == 3) == {ODD_IDS[3]}
            docs.upsert(text_batch(["late"]))
            store.drop(name)
        with GuardedStore(connect()) as store:
            assert name not in store.names()

    # Raw: the plugin by itself

    def test_raw_a_collection_is_opened_as_it_was_made(self, raw_store: VectorStore) -> None:
        one, other = sorted([fresh_name("one"), fresh_name("two")])
        with pytest.raises(CollectionNotFoundError):
            raw_store.open(one)
        raw_store.drop(one)
        spec = CollectionSpec(other, DIM, "cosine", "model one")
        assert raw_store.ensure(spec).info == CollectionInfo.of(spec)
        raw_store.ensure(CollectionSpec(one, DIM)).upsert(text_batch(["a"]))
        assert [name for name in raw_store.names() if name in (one, other)] == [one, other]
        assert raw_store.names() == sorted(raw_store.names())
        again = raw_store.ensure(CollectionSpec(other, DIM + 1, "cosine", "model two"))
        assert again.info == raw_store.open(other).info == CollectionInfo.of(spec)
        assert raw_store.ensure(CollectionSpec(one, DIM)).count() == raw_store.open(one).count() == 1
        raw_store.drop(one)
        raw_store.drop(one)
        assert one not in raw_store.names()
        assert other in raw_store.names()
        with pytest.raises(CollectionNotFoundError):
            raw_store.open(one)
        assert raw_store.ensure(CollectionSpec(one, DIM)).count() == 0

    def test_raw_a_collection_dropped_meanwhile_says_so_whatever_is_asked(self, raw_store: VectorStore) -> None:
        spec = CollectionSpec(fresh_name("dropped"), DIM)
        docs = raw_store.ensure(spec)
        docs.upsert(text_batch(["a"]))
        raw_store.drop(spec.name)
        asked: dict[str, Callable[[], object]] = {
            "upsert": lambda: docs.upsert(text_batch(["a"])),
            "get": lambda: docs.get(["a"]),
            "hashes": lambda: docs.hashes(["a"]),
            "delete": lambda: docs.delete(ids=["a"]),
            "query": lambda: docs.query(unit_vectors(1), 1),
            "scan": lambda: docs.scan(),
            "count": lambda: docs.count(),
        }
        for what, ask in asked.items():
            try:
                answer = ask()
            except StoreError:
                continue
            raise AssertionError(f"{what} of a dropped collection answered {answer!r}, and must raise StoreError")

    def test_raw_closing_twice_is_no_error(self, connect: Callable[[], VectorStore]) -> None:
        name = fresh_name("closed")
        for turn in range(2):
            store = connect()
            assert self.persistent <= (turn == 0 or name in store.names())
            store.ensure(CollectionSpec(name, DIM))
            if turn:
                store.drop(name)
            store.close()
            store.close()
