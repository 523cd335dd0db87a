"""Milvus in a folder, and over the network against milvus-lite's server in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, MissingExtraError, StoreError, StoreURLError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.testing import StoreTests

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")
from embedkit_milvus import _store, open_store
from embedkit_milvus._errors import translated
from embedkit_milvus._store import collection_key


def opened(url: str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(url)))


def rows(ids, vectors=None, metadata=None, texts=None):
    vectors = np.ones((len(ids), 2), np.float32) if vectors is None else vectors
    metadata = [{"n": n} for n in range(len(ids))] if metadata is None else metadata
    return RecordBatch(ids, vectors, texts or [f"text {i}" for i in ids], metadata, ["h"] * len(ids))


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    code = "import sys\nfrom test_milvus import *\n" + code
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=env, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)


SERVER = """
from milvus_lite.adapter.grpc.server import start_server_in_thread
running = start_server_in_thread(sys.argv[1], host="127.0.0.1", port=int(sys.argv[2]), max_workers=1)
print(running[2], flush=True)
threading.Event().wait()
"""


def serve(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    process = child(SERVER, folder, port)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(20)
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, port = serve(tmp_path_factory.mktemp("milvus") / "data")
    yield f"milvus://127.0.0.1:{port}"
    stop(process)


@pytest.fixture(params=["folder", "server"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"milvus:{tmp_path}/new/index.db" if request.param == "folder" else request.getfixturevalue("server")


def eventually(act):
    """What ``act`` gives when the connection is there again."""
    until = time.monotonic() + 30
    while True:
        try:
            return act()
        except TransientStoreError:
            assert time.monotonic() < until
        time.sleep(0.5)


class TestMilvusFolder(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: open_store(StoreURL.parse(f"milvus:{tmp_path}/index.db"))


@pytest.mark.slow
class TestMilvusServer(StoreTests):
    """The same engine as the folder's, over gRPC."""

    persistent = True

    @pytest.fixture
    def connect(self, server):
        return lambda: open_store(StoreURL.parse(server))


def test_a_row_that_is_too_long_is_refused_by_what_is_long_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr("embedkit_milvus._rows.MOST_PARTS", 3)
    monkeypatch.setattr("embedkit_milvus._store.MOST_PARTS", 3)
    with GuardedStore(open_store(StoreURL.parse(f"milvus:{tmp_path}/index"))) as store:
        docs = store.ensure(CollectionSpec("long", 2))
        texts, metadata = ["x" * 70_000, "t", "t"], [{}, {"v": "x" * 70_000}, {"v": "x" * 40_000}]
        result = docs.upsert(RecordBatch(list("abc"), np.ones((3, 2), np.float32), texts, metadata, ["h"] * 3))
        assert [(row.id, row.reason.partition(":")[0]) for row in result.failed] == [("a", "text"), ("b", "metadata")]
        assert "about 48,000 characters of a row" in result.failed[0].reason
        assert result.written == 1
        assert [record.id for record in docs.get(list("abc"))] == ["c"]


def test_long_values_come_back_whole(url):
    ids = ["🎉" * 1_000, "x" * 40_000 + "'\"\\", "short"]
    texts = ["é🎉a\0" * 260_000, "", "m" * 16_000]
    metadata = [{"long": "ü" * 200_000}, {"deep": ["z" * 70_000]}, {}]
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("long", 2))
        assert docs.upsert(rows(ids, metadata=metadata, texts=texts)).failed == ()
        found = docs.get(ids)
        assert [(row.id, row.text, row.metadata) for row in found] == list(zip(ids, texts, metadata, strict=True))
        assert docs.hashes(ids) == dict.fromkeys(ids, "h")
        assert {hit.id: hit.text for hit in docs.query(np.ones((1, 2)), 3)[0]} == dict(zip(ids, texts, strict=True))
        assert docs.count(F("long") == "ü" * 200_000) == 1
        store.drop("long")


def test_a_row_that_has_no_room_costs_no_other(url):
    many = {f"key {i}": i for i in range(2_000)}
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("room", 2))
        result = docs.upsert(rows(["a", "b", "c"], metadata=[{}, many, {"nested": many}]))
        assert (result.written, [row.id for row in result.failed]) == (2, ["b"])
        assert "nest some of them" in result.failed[0].reason
        assert docs.get(["c"])[0].metadata == {"nested": many}
        store.drop("room")


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_more_nearest_rows_than_one_request_gives(url, monkeypatch, metric):
    vectors = np.random.default_rng(2).normal(size=(1500, 3)).astype(np.float32)
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("hits", 3, metric))
        docs.upsert(rows([str(i) for i in range(1500)], vectors))
        expected = docs.query(vectors[:2], 1200, filter=F("n") < 1490)
        monkeypatch.setattr(_store, "MOST_HITS", 1000)
        found = docs.query(vectors[:2], 1200, filter=F("n") < 1490)
        for some, all_ in zip(expected, found, strict=True):
            assert len({hit.id for hit in all_}) == 1200
            np.testing.assert_allclose([h.score for h in all_], [h.score for h in some], rtol=1e-5, atol=1e-5)
        assert found[0][0].text.startswith("text ")
        store.drop("hits")


def test_filters_after_a_flush_find_all_of_few_rows(url):
    vectors = np.random.default_rng(4).normal(size=(3000, 16)).astype(np.float32)
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("few", 16, "dot"))
        docs.upsert(rows([str(i) for i in range(3000)], vectors))
        docs.flush()
        docs.upsert(rows(["new"], vectors[:1], [{"n": 3000.5}]))
        chosen = np.asarray([7, 1999, 2500])
        hits = docs.query(vectors[:1], 3, filter=F("n").is_in(chosen.tolist()))[0]
        assert [hit.id for hit in hits] == [str(i) for i in chosen[np.argsort(-(vectors[chosen] @ vectors[0]))]]
        assert {hit.id for hit in docs.query(vectors[:1], 3, filter=F("n") > 2999)[0]} == {"new"}
        assert docs.count() == 3001
        store.drop("few")


def test_exact_numbers(url):
    values = [2**53 + 1, 2**53, -(2**63), 2**63 - 1, 1e300, 0.1, True, "1"]
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("exact", 2))
        docs.upsert(rows([repr(value) for value in values], metadata=[{"x": value} for value in values]))
        for value in values:
            assert [record.id for record in docs.scan(filter=F("x") == value).records] == [repr(value)]
        assert docs.count(F("x") >= -(2**63)) == 6
        assert docs.count(F("x") > -(2**63)) == 5
        docs.upsert(rows([repr(2**53)], metadata=[{"x": "no number any more"}]))
        assert docs.count(F("x") >= -(2**63)) == 5
        store.drop("exact")


def test_no_two_names_share_a_key():
    names = ["a-b", "a_b", "A_b", "a b", "embedkit_collections", "1", "_", "é", "x" * 300, "a_0123456789abcdef"]
    keys = {collection_key(name) for name in names + [collection_key(name) for name in names]}
    assert len(keys) == len(set(names + [collection_key(name) for name in names]))
    assert all(key.replace("_", "a").isalnum() and key.isascii() and key[0].isalpha() for key in keys)
    assert collection_key("docs_2") == "docs_2"


def test_a_foreign_collection_is_left_alone(url):
    with opened(url) as store:
        store.inner._client.create_collection("foreign", dimension=4)
        assert "foreign" not in store.names()
        for act in (lambda: store.open("foreign"), lambda: store.ensure(CollectionSpec("foreign", 4))):
            with pytest.raises(StoreError, match="not made by embedkit"):
                act()
            store.drop("foreign")
        assert store.inner._client.has_collection("foreign")
        store.inner._client.drop_collection("foreign")


def test_a_collection_that_was_dropped(url):
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("gone", 2))
        store.drop("gone")
        for act in (docs.count, docs.scan, lambda: docs.query(np.ones((1, 2)), 1), lambda: docs.upsert(rows(["a"]))):
            with pytest.raises(CollectionNotFoundError, match="open or create it anew"):
                act()


def test_acknowledged_rows_survive_a_killed_writer(tmp_path):
    write = """
docs = opened(sys.argv[1]).ensure(CollectionSpec("docs", 2))
for turn in range(100_000):
    docs.upsert(rows([f"{turn} {i}" for i in range(20)]))
    print(turn, flush=True)
"""
    url = f"milvus:{tmp_path}/index.db"
    with child(write, url) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        lines += writer.stdout.readlines()
    acknowledged = [int(line) for line in lines if line.endswith("\n")]
    with opened(url) as store:
        docs = store.open("docs")
        assert len(docs.get([f"{turn} {i}" for turn in acknowledged for i in range(20)])) == 20 * len(acknowledged)
        docs.upsert(rows(["after"]))


def test_a_folder_belongs_to_one_process(tmp_path):
    url = f"milvus:{tmp_path}/index.db"
    hold = """
store = opened(sys.argv[1])
print("held", flush=True)
threading.Event().wait(60)
"""
    with child(hold, url) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="close that first"):
            opened(url)
        holder.kill()
    with opened(url) as first, opened(url) as second:
        first.ensure(CollectionSpec("docs", 2)).upsert(rows(["a"]))
        first.close()
        assert second.open("docs").count() == 1
    with opened(url) as again:
        assert again.open("docs").count() == 1


def test_two_processes_write_to_one_server(server):
    write = """
with opened(sys.argv[1]) as store:
    docs = store.ensure(CollectionSpec("shared", 2))
    for turn in range(5):
        docs.upsert(rows([f"{sys.argv[2]} {turn} {i}" for i in range(10)] + ["shared"]))
"""
    writers = [child(write, server, number) for number in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    with opened(server) as store:
        assert store.open("shared").count() == 101
        store.drop("shared")


def test_the_server_in_this_process_listens_on_loopback_only(tmp_path):
    from embedkit_milvus import _lite

    with opened(f"milvus:{tmp_path}/index.db"):
        port = _lite._running[f"{tmp_path}/index.db"].port
        socket.create_connection(("127.0.0.1", port), 5).close()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", port), 5).close()
    assert _lite._running == {}


def test_a_killed_server_is_found_again(tmp_path):
    process, port = serve(tmp_path / "data")
    try:
        with opened(f"milvus://127.0.0.1:{port}") as store:
            docs = store.ensure(CollectionSpec("docs", 2))
            docs.upsert(rows(["kept"]))
            stop(process)
            for act in (docs.count, lambda: docs.upsert(rows(["lost"])), store.names):
                with pytest.raises(TransientStoreError, match="try again"):
                    act()
            process, _ = serve(tmp_path / "data", port)
            assert eventually(lambda: docs.upsert(rows(["more"]))).written == 1
            docs = store.open("docs")
            assert {record.id for record in docs.scan().records} == {"kept", "more"}
    finally:
        stop(process)


def test_a_server_that_is_not_there_is_reported_at_once():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    started = time.perf_counter()
    with pytest.raises(TransientStoreError, match=r"no milvus server answers at 127\.0\.0\.1"):
        opened(f"milvus://127.0.0.1:{port}")
    assert time.perf_counter() - started < 5


def test_credentials_are_sent_and_never_shown(server, monkeypatch):
    import pymilvus

    made = []
    real = pymilvus.MilvusClient

    def client(*positional, **options):
        made.append(options)
        return real(*positional, **options)

    monkeypatch.setattr(_store, "MilvusClient", client)
    monkeypatch.setenv("MILVUS_TOKEN", "very-secret")
    with opened(server) as store, pytest.raises(StoreError) as caught:
        store.open("absent")
    assert made[0]["token"] == "very-secret"
    assert "very-secret" not in f"{caught.value!r} {store!r} {store.inner!r}"


@pytest.mark.parametrize(
    ("code", "said", "kind", "hint"),
    [
        (8, "rate limit exceeded[rate=1]", TransientStoreError, "quota"),
        (65535, "auth check failure, please check api key is correct", StoreError, "MILVUS_TOKEN"),
        (101, "collection not loaded", StoreError, "open it again"),
        (1100, "invalid parameter", StoreError, "correct the request"),
        (100, "collection not found[collection=x]", CollectionNotFoundError, "anew"),
    ],
)
def test_what_a_server_refuses(code, said, kind, hint):
    from pymilvus.exceptions import MilvusException

    with pytest.raises(kind, match=hint) as caught, translated("acting"):
        raise MilvusException(code=code, message=said)
    assert type(caught.value) is kind


def test_what_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="folder of milvus-lite"):
        opened(f"milvus:{tmp_path}/file")


@pytest.mark.parametrize(
    "text",
    ["milvus:", "milvus://", "milvus+https:index", "milvus+ftp://host", "milvus://host/a/b", "milvus://:memory:"],
)
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError):
        opened(text)


def test_a_closed_store_says_so(url):
    store = opened(url)
    docs = store.ensure(CollectionSpec("closed", 2))
    store.drop("closed")
    store.close()
    store.close()
    for act in (docs.count, store.names, lambda: docs.upsert(rows(["a"]))):
        with pytest.raises(StoreError, match="closed"):
            act()


def test_importing_the_plugin_is_light_and_a_missing_client_names_its_extra(monkeypatch):
    code = "import sys, embedkit_milvus; assert not {'pymilvus', 'milvus_lite', 'grpc', 'pandas'} & set(sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    for package in ("milvus_lite", "pymilvus"):
        monkeypatch.setitem(sys.modules, package, None)
        for text in ("milvus:index.db", "milvus://:memory:"):
            with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[milvus\]"):
                opened(text)


def test_threads_of_two_stores_share_a_folder(tmp_path):
    url = f"milvus:{tmp_path}/index.db"
    failures: list[BaseException] = []
    with opened(url) as first, opened(url) as second:
        stores = [first.ensure(CollectionSpec("docs", 2)), second.ensure(CollectionSpec("docs", 2))]

        def work(worker):
            try:
                for turn in range(10):
                    stores[worker % 2].upsert(rows([f"{worker} {turn}"]))
                    stores[worker % 2].count(F("n") == 0)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (failures, stores[0].count()) == ([], 40)


def test_a_silent_server_is_waited_for_no_longer_than_a_request_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", "0.5")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(TransientStoreError, match="EMBEDKIT_STORE_TIMEOUT"):
            open_store(StoreURL.parse(f"milvus://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - begun < 5
