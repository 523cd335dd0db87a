"""Qdrant in memory, in a folder, and over HTTP against a stand-in for its server."""

from __future__ import annotations

import email.utils
import json
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, MissingExtraError, StoreError, StoreURLError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.testing import StoreTests

pytest.importorskip("qdrant_client")
from embedkit_qdrant import open_store
from helpers import slow
from helpers.qdrant_stand_in import CUT, stand_in


def opened(url: str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(url)))


def one_row(row_id: str = "a") -> RecordBatch:
    return RecordBatch([row_id], np.ones((1, 2), np.float32), ["text"], [{"year": 2020}], ["h"])


@slow.another_form
class TestQdrantMemory(StoreTests):
    @pytest.fixture
    def connect(self):
        return lambda: open_store(StoreURL.parse("qdrant://:memory:"))


class TestQdrantFolder(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: open_store(StoreURL.parse(f"qdrant://{tmp_path}/index"))


@pytest.fixture(scope="module")
def shared_server():
    with stand_in() as (_, url):
        yield url


@slow.another_form
class TestQdrantServer(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, shared_server):
        return lambda: open_store(StoreURL.parse(shared_server))


@pytest.fixture
def server():
    with stand_in() as (state, url):
        yield state, url


@pytest.mark.parametrize(
    "request_pattern", ["PUT .*/points$", "POST .*/points$", "POST .*/query/batch", "POST .*/scroll", "POST .*/count"]
)
@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        ((429, {"Retry-After": "7"}, json.dumps({"status": {"error": "slow down"}})), TransientStoreError, 7.0),
        ((429, {}, "slow down"), TransientStoreError, None),
        ((503, {"Retry-After": "3"}, "<html>overloaded</html>"), TransientStoreError, 3.0),
        ((500, {}, "{}"), TransientStoreError, None),
        (CUT, TransientStoreError, None),
        ((413, {}, "too large"), StoreError, None),
        ((400, {}, json.dumps({"status": {"error": "bad input"}})), StoreError, None),
        ((401, {}, "no key"), StoreError, None),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_answers_that_fail(server, request_pattern, fault, kind, wait):
    state, url = server
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        acts = {
            "PUT .*/points$": lambda: docs.upsert(one_row()),
            "POST .*/points$": lambda: docs.get(["a"]),
            "POST .*/query/batch": lambda: docs.query(np.ones((1, 2)), 1),
            "POST .*/scroll": lambda: docs.scan(),
            "POST .*/count": lambda: docs.count(),
        }
        state.faults[request_pattern] = [fault]
        with pytest.raises(kind) as caught:
            acts[request_pattern]()
        assert type(caught.value) is kind
        assert getattr(caught.value, "retry_after", None) == wait
        assert "'docs'" in str(caught.value)
        acts[request_pattern]()


def test_retry_after_may_be_a_date(server):
    state, url = server
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        for status in (503, 429):
            state.faults["PUT .*/points$"] = [
                (status, {"Retry-After": email.utils.formatdate(time.time() + 60, usegmt=True)}, "")
            ]
            with pytest.raises(TransientStoreError) as caught:
                docs.upsert(one_row())
            assert caught.value.retry_after is None if status == 429 else 50 < (caught.value.retry_after or 0) <= 60


def test_writes_wait_until_they_are_applied(server):
    state, url = server
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        docs.upsert(one_row())
        docs.delete(ids=["a"])
    writes = [line for line, _ in state.requests if "/points" in line and ("PUT" in line or "delete" in line)]
    assert len(writes) == 2
    assert all("wait=true" in line for line in writes)


def test_the_key_is_sent_and_never_shown(server, monkeypatch):
    state, url = server
    monkeypatch.setenv("QDRANT_API_KEY", "very-secret")
    with pytest.warns(UserWarning, match="insecure") as warned:
        store = opened(url)
    docs = store.ensure(CollectionSpec("docs", 2))
    state.faults["PUT .*/points$"] = [(401, {}, "wrong key")]
    with pytest.raises(StoreError, match="environment") as caught:
        docs.upsert(one_row())
    shown = f"{caught.value!r} {caught.value.__cause__!r} {store!r} {docs.inner!r} {[str(w.message) for w in warned]}"
    store.close()
    assert all(headers.get("api-key") == "very-secret" for _, headers in state.requests)
    assert "very-secret" not in shown


def test_a_server_that_forgets_what_a_collection_is_for(server):
    state, url = server
    state.forgets_metadata = True
    with opened(url) as store, pytest.raises(StoreError, match=r"older than 1\.16"):
        store.ensure(CollectionSpec("docs", 2))


def test_a_race_to_create_ends_well(server, monkeypatch):
    _, url = server
    with opened(url) as first, opened(url) as second:
        spec = CollectionSpec("docs", 2, "cosine", "model")
        missing = iter([CollectionNotFoundError("not yet")])
        real = type(second.inner).open

        def late(self, name):
            for error in missing:
                raise error
            return real(self, name)

        first.ensure(spec).upsert(one_row())
        monkeypatch.setattr(type(second.inner), "open", late)
        assert second.ensure(spec).count() == 1


@pytest.mark.parametrize("where", ["memory", "server"])
def test_a_foreign_collection_is_left_alone(where, server):
    from qdrant_client import models

    with opened("qdrant://:memory:" if where == "memory" else server[1]) as store:
        client = store.inner._client
        client.create_collection(
            "foreign",
            vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE),
            metadata={"embedkit": 1},
        )
        assert store.names() == []
        for act in (lambda: store.open("foreign"), lambda: store.ensure(CollectionSpec("foreign", 4))):
            with pytest.raises(StoreError, match="not made by embedkit"):
                act()
        assert client.get_collection("foreign").config.metadata == {"embedkit": 1}


def test_qdrant_users_can_read_what_embedkit_wrote():
    with opened("qdrant://:memory:") as store:
        docs = store.ensure(CollectionSpec("readable", 2))
        docs.upsert(one_row())
        (point,), _ = store.inner._client.scroll("readable", with_vectors=True)
        assert point.payload["id"] == "a"
        assert point.payload["text"] == "text"
        assert point.payload["fields"] == {"year": 2020}


def test_a_second_opener_of_a_folder_is_refused(tmp_path):
    with opened(f"qdrant://{tmp_path}"), pytest.raises(StoreError, match="close the other store"):
        opened(f"qdrant://{tmp_path}")
    opened(f"qdrant://{tmp_path}").close()


def test_filters_use_the_real_path_syntax(server):
    """Odd field names reach the server as a bare path."""
    _, url = server
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        docs.upsert(
            RecordBatch(
                ["a", "b"],
                np.ones((2, 2), np.float32),
                ["", ""],
                [{'a.b[0] "é': 1}, {"a-2e-b": 1, "a": {"b": 1}}],
                ["", ""],
            )
        )
        assert [record.id for record in docs.scan(filter=F('a.b[0] "é') == 1).records] == ["a"]
        assert [record.id for record in docs.scan(filter=F("a-2e-b") == 1).records] == ["b"]
        assert docs.count(F("a.b") == 1) == 0


def test_a_server_that_is_not_there_is_reported_at_once():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    started = time.perf_counter()
    with pytest.raises(TransientStoreError, match=r"no qdrant server answers at 127\.0\.0\.1"):
        opened(f"qdrant://127.0.0.1:{port}")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "text",
    ["qdrant:", "qdrant://", "qdrant+https:index", "qdrant+ftp://host", "qdrant+grpc:index", "qdrant+https://:memory:"],
)
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError):
        opened(text)


def test_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with opened("qdrant:some/index") as store:
        store.ensure(CollectionSpec("docs", 2))
    assert (tmp_path / "some" / "index").is_dir()


def test_a_closed_store_says_so(tmp_path):
    store = opened(f"qdrant://{tmp_path}")
    docs = store.ensure(CollectionSpec("docs", 2))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        docs.count()
    with pytest.raises(StoreError, match="closed"):
        store.names()


def test_importing_the_plugin_is_light_and_a_missing_client_names_its_extra(monkeypatch):
    code = "import sys, embedkit_qdrant; assert not {'qdrant_client', 'torch', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[qdrant\]"):
        opened("qdrant:index")
