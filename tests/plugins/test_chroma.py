"""Chroma, embedded in this process and on a real server on a loopback port."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from embedkit.errors import MissingExtraError, StoreError, StoreURLError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.plugin_kit.naming import safe_name
from embedkit.testing import StoreTests

pytest.importorskip("chromadb")
from embedkit.stores.opening import open_store as open_address
from embedkit.testing.samples import DIM, text_batch, unit_vectors
from embedkit_chroma import _search, open_store
from helpers import slow


def opened(url: str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(url)))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The store URL of a Chroma server that runs while this module does."""
    folder, port = tmp_path_factory.mktemp("chroma"), free_port()
    run = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"
    command = [sys.executable, "-c", run, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "ANONYMIZED_TELEMETRY": "False"})
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"chroma://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


class TestChromaFolder(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: open_store(StoreURL.parse(f"chroma://{tmp_path}/index"))


@slow.another_form
class TestChromaServer(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, server):
        return lambda: open_store(StoreURL.parse(server))


@pytest.fixture(params=["folder", "server"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"chroma://{tmp_path}/index" if request.param == "folder" else request.getfixturevalue("server")


def test_the_float_beside_an_integer_is_not_the_integer(tmp_path):
    """Chroma reads 0.9999999999999999 as 1."""
    values = [1, math.nextafter(1, 0), math.nextafter(1, 2), 2, 1.5, 7, math.nextafter(7, 0), -1, math.nextafter(-1, 0)]
    docs = opened(f"chroma:{tmp_path}/index").ensure(CollectionSpec("docs", DIM))
    docs.upsert(text_batch([str(i) for i in range(len(values))], metadata=[{"x": value} for value in values]))
    x = F("x")
    listed = [
        x.is_in([1, math.nextafter(1, 0), math.nextafter(1, 2)]),
        x.is_in([1, math.nextafter(1, 0)]),
        x.is_in([7, -1]),
        x.not_in([1, 7]),
    ]
    for which in (*listed, *(one for n in (1, 7, -1) for one in (x == n, x != n, x < n, x <= n, x > n, x >= n))):
        found = {record.id for page in docs.pages(which) for record in page}
        assert found == {str(i) for i, value in enumerate(values) if which.matches({"x": value})}, which


def test_floats_beside_each_other_keep_their_order(tmp_path):
    """Chroma reads 0.09999999999999999 as 0.1."""
    bases = [0.1, 1 / 3, 123456.789, -2.5, 5e-324, 1.7976931348623157e308]
    beside = [math.nextafter(v, way) for v in bases for way in (-math.inf, math.inf)]
    values = [v for v in (*bases, *beside, 0, 1, 123457) if math.isfinite(v)]
    docs = opened(f"chroma:{tmp_path}/index").ensure(CollectionSpec("docs", DIM))
    docs.upsert(text_batch([str(i) for i in range(len(values))], metadata=[{"x": value} for value in values]))
    x = F("x")
    for which in (one for v in values for one in (x == v, x != v, x < v, x <= v, x > v, x >= v)):
        found = {record.id for page in docs.pages(which) for record in page}
        assert found == {str(i) for i, value in enumerate(values) if which.matches({"x": value})}, which


def test_a_foreign_collection_is_left_alone(url, tmp_path):
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    with opened(url) as store:
        foreign = (
            chromadb.HttpClient("127.0.0.1", StoreURL.parse(url).port, settings=settings)
            if "127.0.0.1" in url
            else chromadb.PersistentClient(str(tmp_path / "index"), settings=settings)
        )
        foreign.create_collection("foreign", embedding_function=None, metadata={"mine": 1})
        assert "foreign" not in store.names()
        for act in (lambda: store.open("foreign"), lambda: store.ensure(CollectionSpec("foreign", 4))):
            with pytest.raises(StoreError, match="not made by embedkit"):
                act()
        assert foreign.get_collection("foreign", embedding_function=None).metadata == {"mine": 1}
        foreign.delete_collection("foreign")
        foreign.close()


def test_chroma_users_can_read_what_embedkit_wrote(url, tmp_path):
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("readable", 4))
        docs.upsert(
            RecordBatch(["a"], np.eye(4, dtype=np.float32)[:1], ["text"], [{"year": 2020, "tags": ["x"]}], ["h"])
        )
        raw = docs.inner._inner.get(where={"meta.year": 2020}, include=["documents", "metadatas"])
        assert raw["documents"] == ["text"]
        assert raw["metadatas"][0]["meta.year"] == 2020
        assert json.loads(raw["metadatas"][0]["embedkit.metadata"]) == {"year": 2020, "tags": ["x"]}
        assert docs.inner._inner.name == safe_name("readable") == "readable"
        store.drop("readable")


def test_filtered_query_returns_k_rows_among_many(url):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 16)).astype(np.float32)
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("filtered", 16))
        docs.upsert(
            RecordBatch(
                [str(i) for i in range(3000)], rows, [""] * 3000, [{"part": i % 100} for i in range(3000)], ["h"] * 3000
            )
        )
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        asked = rng.normal(size=(10, 16)).astype(np.float32)
        for hits, query in zip(docs.query(asked, 20, filter=F("part") == 7), asked, strict=True):
            exact = sorted(range(7, 3000, 100), key=lambda i: -float(rows[i] @ query))[:20]
            assert len(set(exact) & {int(hit.id) for hit in hits}) >= 19
        store.drop("filtered")


def test_scans_that_take_turns_and_one_that_goes_on_elsewhere(url):
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("in turns", 4), if_exists="replace")
        ids = [f"{i:04}" for i in range(2_500)]
        batch = RecordBatch(
            ids, np.ones((2_500, 4), np.float32), [""] * 2_500, [{"n": i % 10} for i in range(2_500)], [""] * 2_500
        )
        docs.upsert(batch)
        filters = [None, *(F("n") == i for i in range(6))]
        cursors: list[str | None] = [None] * len(filters)
        found: list[list[str]] = [[] for _ in filters]
        while not found[0] or any(cursors):
            for turn, expression in enumerate(filters):
                if cursors[turn] is not None or not found[turn]:
                    rows = store.open("in turns") if len(found[turn]) < 200 else docs
                    page = rows.scan(filter=expression, cursor=cursors[turn], limit=100 if turn else 1_200)
                    found[turn] += [record.id for record in page.records]
                    cursors[turn] = page.cursor
        assert found == [ids, *(ids[i::10] for i in range(6))]
        assert len(docs.scan(limit=2_499).records) == 2_499
        store.drop("in turns")


def test_two_threads_that_write_one_id_do_not_mix_their_fields(url):
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("threads", 2))
        inner, other_is_done = docs.inner._inner, threading.Event()

        def write(field: str) -> None:
            docs.upsert(RecordBatch(["a"], np.ones((1, 2), np.float32), [""], [{field: 1}], [""]))

        def write_other() -> None:
            write("second")
            other_is_done.set()

        other = threading.Thread(target=write_other)

        def slow_get(real=inner.get, **asked):
            found = real(**asked)
            if other.ident is None:
                other.start()
                other_is_done.wait(0.5)
            return found

        inner.get = slow_get
        write("first")
        other.join()
        assert [docs.count(F(field) == 1) for field in ("first", "second")] == [0, 1]
        store.drop("threads")


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_rows_that_the_index_has_lost_are_found(tmp_path, metric, monkeypatch):
    monkeypatch.setattr(_search, "INDEX_FROM_ROWS", 0)
    monkeypatch.setattr(_search, "PARTLY_FROM_ROWS", 0)
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(40, 6)).astype(np.float32)
    with opened(f"chroma:{tmp_path / 'index'}") as store:
        docs = store.ensure(CollectionSpec("lossy", 6, metric))
        docs.upsert(
            RecordBatch([str(i) for i in range(40)], rows, ["t"] * 40, [{"n": i} for i in range(40)], ["h"] * 40)
        )
        asked = rng.normal(size=(3, 6)).astype(np.float32)
        for expression, k in ((None, 50), (F("n") < 20, 20)):
            whole = docs.query(asked, k, filter=expression)
            search = docs.inner._inner.query

            def losing(search=search, **options):
                found = search(**options)
                for column in ("ids", "distances", "documents", "metadatas"):
                    found[column] = [
                        [value for place, value in enumerate(values) if place not in (0, 5, 11)]
                        for values in found[column]
                    ]
                return found

            docs.inner._inner.query = losing
            found = docs.query(asked, k, filter=expression)
            docs.inner._inner.query = search
            assert [[hit.id for hit in hits] for hits in found] == [[hit.id for hit in hits] for hits in whole]
            for a, b in zip(chain(*found), chain(*whole), strict=True):
                assert (a.text, a.metadata) == (b.text, b.metadata)
                assert a.score == pytest.approx(b.score, abs=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_more_equal_vectors_than_the_graph_has_edges_hide_nothing(url, metric):
    """Rows of equal texts lead to each other alone in the index: of 8 texts it finds no row of some."""
    rng = np.random.default_rng(1)
    texts = unit_vectors(200, dim=16, seed=1)
    order = np.repeat(np.arange(200), [150] * 4 + [1] * 196)
    ids = [f"{place} {text}" for place, text in enumerate(order)]
    with opened(url) as store:
        docs = store.ensure(CollectionSpec(f"equal {metric}", 16, metric))
        docs.upsert(text_batch(ids, vectors=texts[order], metadata=[{"even": int(text) % 2 == 0} for text in order]))
        for expression, some in ((None, range(200)), (F("even").is_in([True]), range(0, 200, 2))):
            found = docs.query(texts[some], 3, filter=expression)
            assert [hits[0].id.split()[1] for hits in found] == [str(text) for text in some]
            asked = rng.normal(size=(20, 16)).astype(np.float32)
            for hits, one in zip(docs.query(asked, 200, filter=expression), asked, strict=True):
                one = one / np.linalg.norm(one) if metric == "cosine" else one
                kept = texts[[text for text in order if text in some]].astype(np.float64)
                scores = -np.linalg.norm(kept - one, axis=1) if metric == "euclidean" else kept @ one
                assert np.allclose([hit.score for hit in hits], np.sort(scores)[::-1][:200], atol=1e-5)


def test_what_is_compared_is_what_was_written_last(tmp_path):
    """Here, by another client of this process, by another process; added again, replaced and deleted."""
    url, eye = f"chroma:{tmp_path / 'index'}", np.eye(4, dtype=np.float32)

    def nearest(docs: GuardedCollection) -> list[str]:
        return [hits[0].id for hits in docs.query(eye, 1)]

    with opened(url) as store, opened(url) as other:
        docs = store.ensure(CollectionSpec("docs", 4))
        docs.upsert(text_batch(list("abcd"), vectors=eye))
        assert nearest(docs) == list("abcd")
        other.open("docs").upsert(text_batch(["b", "c"], vectors=eye[[2, 1]]))
        assert nearest(docs) == list("acbd")
        docs.inner._inner.add(ids=["a"], embeddings=eye[[3]], metadatas=[{"x": 1}])
        assert nearest(docs) == list("acbd"), "a row that is added again stays as it was"
        other.open("docs").delete(ids=["d"])
        assert {hit.id for hit in docs.query(eye, 4)[3]} == set("abc")
        code = (
            "import sys; from embedkit.stores import *; from embedkit_chroma import open_store; import numpy as np\n"
            "from embedkit.testing.samples import text_batch\n"
            "docs = GuardedStore(open_store(StoreURL.parse(sys.argv[1]))).open('docs')\n"
            "docs.upsert(text_batch(['e'], vectors=np.eye(4, dtype=np.float32)[3:]))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, url], check=True, env=environment)
        assert nearest(docs) == list("acbe")
    with opened(url) as store:
        assert nearest(store.open("docs")) == list("acbe")


def test_a_log_that_is_not_whole_leaves_it_to_the_index(tmp_path):
    url, rows = f"chroma:{tmp_path / 'index'}", unit_vectors(30)
    with opened(url) as store:
        store.ensure(CollectionSpec("docs", DIM)).upsert(text_batch([str(i) for i in range(30)], vectors=rows))
        assert [hits[0].id for hits in store.open("docs").query(rows, 1)] == [str(i) for i in range(30)]
        with closing(sqlite3.connect(tmp_path / "index" / "chroma.sqlite3")) as database, database:
            database.execute("DELETE FROM embeddings_queue WHERE id IN ('3', '4')")
        assert [hits[0].id for hits in store.open("docs").query(rows, 1)] == [str(i) for i in range(30)]


def test_a_row_that_another_process_writes_first_is_that_one_whole(url):
    rows = RecordBatch(["a", "b", "c"], np.eye(3, dtype=np.float32), ["", "", ""], [{"one": 1}] * 3, ["h"] * 3)
    other = RecordBatch(["b", "c"], np.eye(3, dtype=np.float32)[[2, 0]], ["other"] * 2, [{"other": 1}] * 2, ["o"] * 2)
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("raced", 3))
        inner = docs.inner._inner
        read = inner.get

        def read_and_be_overtaken(**which):
            found = read(**which)
            inner.get = read
            docs.inner._writing.release()
            docs.upsert(other)
            docs.inner._writing.acquire()
            return found

        inner.get = read_and_be_overtaken
        docs.upsert(rows)
        found = {row.id: row for row in docs.get(["a", "b", "c"], with_vectors=True)}
        assert {row.id: (row.text, row.metadata, row.hash) for row in found.values()} == {
            "a": ("", {"one": 1}, "h"),
            "b": ("other", {"other": 1}, "o"),
            "c": ("other", {"other": 1}, "o"),
        }
        for row_id, place in (("a", 0), ("b", 2), ("c", 0)):
            vector = np.eye(3, dtype=np.float32)[place]
            assert np.array_equal(found[row_id].vector, vector)
            assert docs.query(vector[None], 3)[0][0].score == pytest.approx(1.0)
        assert [hit.id for hit in docs.query(np.eye(3, dtype=np.float32)[2:], 1)[0]] == ["b"]
        assert docs.count(F("one") == 1) == 1
        docs.upsert(rows)
        assert docs.count(F("one") == 1) == 3
        assert docs.count(F("other") == 1) == 0
        assert [hit.id for hit in docs.query(np.eye(3, dtype=np.float32)[2:], 1)[0]] == ["c"]
        store.drop("raced")


def test_a_server_that_is_not_there_is_reported_at_once():
    started = time.perf_counter()
    with pytest.raises(TransientStoreError, match=r"no chroma server answers at 127\.0\.0\.1"):
        opened(f"chroma://127.0.0.1:{free_port()}")
    assert time.perf_counter() - started < 5


def test_a_cut_connection_is_transient(tmp_path):
    port = free_port()
    command = [
        sys.executable,
        "-c",
        "import sys; from chromadb.cli.cli import app; app()",
        "run",
        "--path",
        str(tmp_path),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                store = opened(f"chroma://127.0.0.1:{port}")
                break
            except StoreError:
                time.sleep(0.1)
        docs = store.ensure(CollectionSpec("docs", 4))
    finally:
        process.terminate()
        process.wait(20)
    with pytest.raises(TransientStoreError, match="connection failed"):
        docs.count()


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "wait"),
    [
        (429, {"Retry-After": "7"}, "slow down", TransientStoreError, 7.0),
        (503, {}, "<html>overloaded</html>", TransientStoreError, None),
        (413, {}, "too large", StoreError, None),
        (429, {}, json.dumps({"error": "RateLimitError", "message": "slow down"}), TransientStoreError, None),
        (500, {}, json.dumps({"error": "InternalError", "message": "disk"}), TransientStoreError, None),
        (400, {}, json.dumps({"error": "InvalidArgumentError", "message": "no"}), StoreError, None),
        (403, {}, json.dumps({"error": "AuthError", "message": "no"}), StoreError, None),
    ],
)
def test_answers_that_fail(server, status, headers, body, kind, wait):
    """A proxy between client and server that begins to fail after the collection was opened."""
    real, failing = StoreURL.parse(server), threading.Event()

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            import http.client

            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if failing.is_set():
                code, answer, extra = status, body.encode(), headers
            else:
                link = http.client.HTTPConnection(real.host, real.port)
                link.request(self.command, self.path, content, {"Content-Type": "application/json"})
                reply = link.getresponse()
                code, answer, extra = reply.status, reply.read(), {}
                link.close()
            self.send_response(code)
            for name, value in {**extra, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = do_PUT = answer

        def log_message(self, *_: object) -> None: ...

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        with opened(f"chroma://127.0.0.1:{proxy.server_port}") as store:
            docs = store.ensure(CollectionSpec("faults", 2))
            failing.set()
            for act in (
                lambda: docs.upsert(RecordBatch(["a"], np.ones((1, 2), np.float32), [""], [{}], [""])),
                docs.count,
                store.names,
            ):
                with pytest.raises(kind) as caught:
                    act()
                assert isinstance(caught.value, TransientStoreError) == (kind is TransientStoreError)
                assert getattr(caught.value, "retry_after", None) == wait
    finally:
        proxy.shutdown()
        proxy.server_close()


@pytest.mark.parametrize(
    "text",
    ["chroma:", "chroma://", "chroma+https:index", "chroma+ftp://host", "chroma://host/path", "chroma://:memory:"],
)
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError):
        opened(text)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="opening the folder .*: it is a file; name a folder"):
        opened(f"chroma://{tmp_path}/file")


def test_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with opened("chroma:some/index") as store:
        store.ensure(CollectionSpec("docs", 2))
    assert (tmp_path / "some" / "index").is_dir()


def test_a_closed_store_says_so(tmp_path):
    store = opened(f"chroma://{tmp_path}/index")
    docs = store.ensure(CollectionSpec("docs", 2))
    store.close()
    store.close()
    with pytest.raises(StoreError):
        docs.count()
    with pytest.raises(StoreError):
        store.names()


def test_importing_the_plugin_is_light_and_a_missing_client_names_its_extra(monkeypatch):
    code = "import sys, embedkit_chroma; assert not {'chromadb', 'torch', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "chromadb", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[chroma\]"):
        opened("chroma:index")


def test_a_relative_folder_is_that_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        stores.append(GuardedStore(open_store(StoreURL.parse("chroma:index"))))
        assert stores[-1].names() == []
        stores[-1].ensure(CollectionSpec(name, 4))
    assert [store.names() for store in stores] == [["a"], ["b"]]
    for store in stores:
        store.close()


KILLED = """
import os, signal, sys
import numpy as np
from embedkit.stores.opening import open_store as open_address
from embedkit.testing.samples import DIM, text_batch, unit_vectors
from embedkit_chroma import _search, open_store
from embedkit.stores.guarded import GuardedStore
from embedkit.records import RecordBatch
from embedkit.stores.contract import CollectionSpec, StoreURL
docs = GuardedStore(open_store(StoreURL.parse("chroma:index"))).ensure(CollectionSpec("docs", 8))
vectors = np.random.default_rng(0).normal(size=(3_000, 8)).astype(np.float32)
for i in range(0, 3_000, 500):
    ids = [str(n) for n in range(i, i + 500)]
    docs.upsert(RecordBatch(ids, vectors[i : i + 500], ids, [{"n": n} for n in range(i, i + 500)], ids))
docs.delete(ids=["7"])
if "kill" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("damage", ["data_level0.bin", "link_lists.bin", "header.bin", "index_metadata.pickle"])
def test_an_index_that_a_kill_left_half_written_is_made_again(tmp_path, damage):
    """Chroma writes its index in place: the file is cut as a kill in the middle of that leaves it."""
    run = partial(
        subprocess.run, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    assert run([sys.executable, "-c", KILLED, "kill"]).returncode == -signal.SIGKILL
    (file,) = (tmp_path / "index").glob(f"*/{damage}")
    with file.open("r+b") as opened_file:
        opened_file.truncate(file.stat().st_size // 2)
    vectors = np.random.default_rng(0).normal(size=(3_000, 8)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    with opened(f"chroma:{tmp_path / 'index'}") as store:
        docs = store.open("docs")
        assert docs.count() == 2_999
        for i, hits in zip((3, 1_500, 2_999), docs.query(unit[[3, 1_500, 2_999]], 5), strict=True):
            scores = unit @ unit[i]
            scores[7] = -2
            assert [hit.id for hit in hits] == [str(n) for n in np.argsort(-scores)[:5]]
        assert np.allclose(docs.get(["42"], with_vectors=True)[0].vector, unit[42], atol=1e-6)
        docs.upsert(RecordBatch(["new"], unit[:1], [""], [{}], [""]))
        assert docs.count() == 3_000
    assert not (tmp_path / "index" / "embedkit.open").exists()


def test_a_folder_that_was_closed_or_left_by_itself_is_not_indexed_again(tmp_path):
    run = partial(subprocess.run, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=True)
    run([sys.executable, "-c", KILLED])
    assert not (tmp_path / "index" / "embedkit.open").exists()
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "index").glob("*/*.bin")}
    assert before
    for _ in range(2):
        with opened(f"chroma:{tmp_path / 'index'}") as store:
            assert store.open("docs").count() == 2_999
            assert (tmp_path / "index" / "embedkit.open").exists()
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "index").glob("*/*.bin")} == before


def test_closing_twice_takes_no_others_mark(tmp_path: Path) -> None:
    url = StoreURL.parse(f"chroma:{tmp_path}/index")
    one, other = open_store(url), open_store(url)
    mark = tmp_path / "index" / "embedkit.open"
    one.close()
    one.close()
    assert mark.exists()
    other.close()
    assert not mark.exists()


def test_hits_beyond_what_the_index_gives_at_once_are_compared_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_search, "HITS", 7)
    monkeypatch.setattr(_search, "INDEX_FROM_ROWS", 0)
    monkeypatch.setattr(_search, "PARTLY_FROM_ROWS", 0)
    with open_address(f"chroma:{tmp_path / 'index'}") as store:
        docs = store.ensure(CollectionSpec("docs", DIM))
        rows = unit_vectors(50, seed=1)
        docs.upsert(text_batch([str(i) for i in range(50)], vectors=rows))
        asked = unit_vectors(5, seed=2)
        for k in (3, 7, 8, 30, 70_000):
            for hits, scores in zip(docs.query(asked, k), asked @ rows.T, strict=True):
                best = np.argsort(-scores)[:k]
                assert [int(hit.id) for hit in hits] == best.tolist()
                np.testing.assert_allclose([hit.score for hit in hits], scores[best], atol=1e-5)


def test_a_silent_server_is_waited_for_no_longer_than_a_request_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", "0.5")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(TransientStoreError, match="EMBEDKIT_STORE_TIMEOUT"):
            opened(f"chroma://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < 5


_FORKING = """
import os, sys
from embedkit.errors import StoreError, TransientStoreError
from embedkit.stores import CollectionSpec, open_store
from embedkit.testing.samples import DIM, text_batch, unit_vectors

store = open_store(f"chroma:{sys.argv[1]}")
docs = store.ensure(CollectionSpec("docs", DIM))
docs.upsert(text_batch(["a"]))
asked = [
    docs.count, lambda: docs.query(unit_vectors(1), 1), lambda: docs.upsert(text_batch(["b"])), store.names,
    lambda: open_store(f"chroma:{sys.argv[1]}"), lambda: open_store(f"chroma:{sys.argv[1]} other"),
]
child = os.fork()
if not child:
    refused = 0
    for ask in asked:
        try:
            ask()
        except StoreError as error:
            refused += "fork" in str(error) and not isinstance(error, TransientStoreError)
    store.close()
    os._exit(len(asked) - refused)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
docs.upsert(text_batch(["b"]))
assert docs.count() == 2
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_folder_in_a_forked_child_says_so_and_does_not_hang(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _FORKING, str(tmp_path / "index")], check=True, timeout=120)


@pytest.mark.parametrize("where", ["server", "folder"])
def test_a_process_without_a_home_opens_a_store(server: str, tmp_path: Path, where: str) -> None:
    code = (
        "import os, pwd, sys\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "os.environ.pop('HOME', None)\n"
        "pwd.getpwuid = nobody\n"
        "from embedkit import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "store.names(), store.close()\n"
        "assert 'HOME' not in os.environ\n"
    )
    url = server if where == "server" else f"chroma:{tmp_path / 'index'}"
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=120)
