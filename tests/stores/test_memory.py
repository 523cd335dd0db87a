"""The store in memory: the contract, and exact search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit.errors import StoreURLError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import OPS
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import MemoryStore, open_store
from embedkit.testing import StoreTests


@pytest.fixture
def url(tmp_path: Path) -> StoreURL:
    return StoreURL.parse(f"memory:{tmp_path.name}")


class TestMemory(StoreTests):
    @pytest.fixture
    def connect(self, url: StoreURL):  # type: ignore[no-untyped-def]
        return lambda: open_store(url)


def test_names_are_stores_of_their_own(url: StoreURL) -> None:
    one, other = open_store(url), open_store(StoreURL.parse(f"{url.text}-other"))
    one.ensure(CollectionSpec("here", 2))
    assert open_store(url).names() == ["here"]
    assert other.names() == []


def test_what_is_returned_is_the_callers(url: StoreURL) -> None:
    store = GuardedStore(open_store(url))
    docs = store.ensure(CollectionSpec("docs", 2))
    given = {"list": [1]}
    docs.upsert(RecordBatch(["a"], np.ones((1, 2), np.float32), ["t"], [given], ["h"]))
    given["list"].append(2)
    record = docs.get(["a"], with_vectors=True)[0]
    record.metadata["list"].append(3)
    record.vector[0] = 9  # type: ignore[index]
    docs.query(np.ones((1, 2)), 1)[0][0].metadata["list"].append(4)
    again = docs.get(["a"], with_vectors=True)[0]
    assert again.metadata == {"list": [1]}
    assert again.vector[0] != 9  # type: ignore[index]


def test_equal_scores_come_by_id(url: StoreURL) -> None:
    docs = GuardedStore(open_store(url)).ensure(CollectionSpec("ties", 2))
    ids = ["c", "a", "b", "d"]
    docs.upsert(RecordBatch(ids, np.ones((4, 2), np.float32), ids, [{}] * 4, ids))
    assert [hit.id for hit in docs.query(np.ones((1, 2)), 2)[0]] == ["a", "b"]


@pytest.mark.parametrize("text", ["memory://host/x", "memory+https:x"])
def test_it_has_no_server(text: str) -> None:
    with pytest.raises(StoreURLError, match="memory:NAME"):
        open_store(StoreURL.parse(text))


def test_its_capabilities_are_those_of_the_contract() -> None:
    assert MemoryStore.caps.filter_ops == OPS
