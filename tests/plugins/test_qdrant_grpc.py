"""Qdrant by gRPC, against a stand-in for its server."""

from __future__ import annotations

import time

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, StoreError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.testing import StoreTests

pytest.importorskip("qdrant_client")
import grpc

from embedkit_qdrant import open_store
from helpers import slow
from helpers.qdrant_grpc_stand_in import grpc_stand_in

Code = grpc.StatusCode
SPEC = CollectionSpec("docs", 2)


def opened(url: str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(url)))


def one_row(text: str = "text") -> RecordBatch:
    return RecordBatch(["a"], np.ones((1, 2), np.float32), [text], [{"year": 2020}], ["h"])


@pytest.fixture(scope="module")
def shared_server():
    with grpc_stand_in() as (_, url):
        yield url


@slow.another_form
class TestQdrantGrpc(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, shared_server):
        return lambda: open_store(StoreURL.parse(shared_server))


@pytest.fixture
def server():
    with grpc_stand_in() as (state, url):
        yield state, url


@pytest.mark.parametrize("method", ["upsert", "get", "query_batch", "scroll", "count"])
@pytest.mark.parametrize(
    ("code", "metadata", "kind", "says", "wait"),
    [
        (Code.UNAVAILABLE, (), TransientStoreError, "503: UNAVAILABLE: why; try again later", None),
        (Code.DEADLINE_EXCEEDED, (), TransientStoreError, "try again later", None),
        (Code.INTERNAL, (), TransientStoreError, "try again later", None),
        (Code.RESOURCE_EXHAUSTED, (("retry-after", "7"),), TransientStoreError, "try again later", 7.0),
        (Code.RESOURCE_EXHAUSTED, (), TransientStoreError, "try again later", None),
        (Code.UNAUTHENTICATED, (), StoreError, "credentials in the environment", None),
        (Code.PERMISSION_DENIED, (), StoreError, "credentials in the environment", None),
        (Code.INVALID_ARGUMENT, (), StoreError, "correct the request", None),
        (Code.NOT_FOUND, (), CollectionNotFoundError, "create it anew", None),
    ],
)
def test_answers_that_fail(server, method, code, metadata, kind, says, wait):
    state, url = server
    with opened(url) as store:
        docs = store.ensure(SPEC)
        acts = {
            "upsert": lambda: docs.upsert(one_row()),
            "get": lambda: docs.get(["a"]),
            "query_batch": lambda: docs.query(np.ones((1, 2)), 1),
            "scroll": lambda: docs.scan(),
            "count": lambda: docs.count(),
        }
        state.faults[method] = [(code, "why", metadata)]
        with pytest.raises(kind, match=says) as caught:
            acts[method]()
        assert type(caught.value) is kind
        assert getattr(caught.value, "retry_after", None) == wait
        assert "'docs'" in str(caught.value)
        acts[method]()


def test_a_message_that_is_too_large_is_no_passing_failure():
    with grpc_stand_in(max_receive_message_length=10_000) as (_, url), opened(url) as store:
        docs = store.ensure(SPEC)
        with pytest.raises(StoreError, match="write fewer or smaller rows") as caught:
            docs.upsert(one_row("x" * 20_000))
        assert type(caught.value) is StoreError
        docs.upsert(one_row())


def test_a_server_that_went_away_and_one_that_hangs(monkeypatch):
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", "1")
    with grpc_stand_in() as (state, url):
        store = opened(url)
        docs = store.ensure(SPEC)
        with state.lock:
            started = time.perf_counter()
            with pytest.raises(TransientStoreError, match="DEADLINE_EXCEEDED"):
                docs.upsert(one_row())
            assert time.perf_counter() - started < 5
    with pytest.raises(TransientStoreError, match="try again"):
        docs.count()
    with pytest.raises(TransientStoreError, match="no qdrant server answers"):
        opened(url)
    store.close()


def test_the_key_is_sent_and_never_shown(server, monkeypatch):
    state, url = server
    monkeypatch.setenv("QDRANT_API_KEY", "very-secret")
    with pytest.warns(UserWarning, match="insecure"):
        store = opened(url)
    docs = store.ensure(SPEC)
    state.faults["upsert"] = [(Code.UNAUTHENTICATED, "wrong key", ())]
    with pytest.raises(StoreError, match="environment") as caught:
        docs.upsert(one_row())
    store.close()
    assert state.requests
    assert all(headers.get("api-key") == "very-secret" for _, _, headers in state.requests)
    assert "very-secret" not in f"{caught.value!r} {caught.value.__cause__!r} {store!r} {docs.inner!r}"


def test_a_race_to_create_ends_well(server, monkeypatch):
    _, url = server
    with opened(url) as first, opened(url) as second:
        missing = iter([CollectionNotFoundError("not yet")])
        real = type(second.inner).open

        def late(self, name):
            for error in missing:
                raise error
            return real(self, name)

        first.ensure(SPEC).upsert(one_row())
        monkeypatch.setattr(type(second.inner), "open", late)
        assert second.ensure(SPEC).count() == 1
