"""Redis (or Valkey) as a server on this machine: the contract, kills, several writers at once, and servers that refuse."""

from __future__ import annotations

import signal
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("redis")
import redis

import embedkit_redis.valkey
from embedkit.errors import (
    CollectionNotFoundError,
    MissingExtraError,
    StoreError,
    StoreURLError,
    TransientStoreError,
)
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.keeping import Keeping, rounded
from embedkit.testing import StoreTests
from embedkit.testing.samples import DIM, text_batch
from embedkit.vectors.arrays import unit_length
from embedkit_redis import _collection, open_store
from helpers.redis_server import RedisServer
from helpers.writing import SPEC, all_ids, assert_acknowledged, kill_after, rows, writer


@pytest.fixture(scope="module")
def running():
    found = RedisServer()
    yield found
    found.stop()


@pytest.fixture
def server(running):
    """A server with an empty database."""
    with redis.Redis(port=running.port) as client:
        client.flushall()
    return running


def opened(server):
    return GuardedStore(open_store(StoreURL.parse(server.url)))


class TestRedis(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, server):
        return lambda: open_store(StoreURL.parse(server.url))


def test_what_was_acknowledged_survives_a_kill_of_the_writer(server):
    last = kill_after(writer("embedkit_redis", server.url), 20)
    with opened(server) as store:
        assert_acknowledged(store.open(SPEC.name), last)


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_what_was_acknowledged_survives_a_kill_of_the_server(fsync):
    own = RedisServer("--appendfsync", fsync)
    try:
        child = writer("embedkit_redis", own.url, quiet=True)
        for line in child.stdout:
            if int(line) >= 20:
                break
        own.kill()
        child.kill()
        last = int([str(line), *child.stdout.read().split()][-1])
        child.wait()
        own.start()
        with opened(own) as store:
            docs = store.open(SPEC.name)
            assert_acknowledged(docs, last)
            docs.upsert(rows("after", 3))
            docs.flush()
            assert docs.count(F("turn") == "0") == 50
            assert docs.delete(filter=F("turn") == "0") == 50
    finally:
        own.stop()


def test_several_writers_of_the_same_rows(server):
    failures = []
    with opened(server) as store, opened(server) as other:
        docs = (store.ensure(SPEC), other.ensure(SPEC))

        def work(worker):
            try:
                for turn in range(15):
                    docs[worker % 2].upsert(rows(f"{worker} {turn}", 4))
                    docs[worker % 2].upsert(rows(f"all {turn}", 2))
                    docs[worker % 2].scan(filter=F("i") == 0, limit=5)
                    (store, other)[worker % 2].ensure(CollectionSpec("shared", 2))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert docs[0].count() == docs[1].count() == len(set(all_ids(docs[0]))) == 270
        assert docs[0].count(F("turn") == "all 3") == 2
        assert store.names() == other.names() == ["docs", "shared"]


def test_a_scan_gives_each_row_once_while_others_are_written_and_deleted(server):
    with opened(server) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 50))
        docs.upsert(rows("b", 50))
        for expression in (None, F("turn") == "a"):
            seen, cursor, turn = [], None, 0
            while True:
                page = docs.scan(filter=expression, cursor=cursor, limit=7)
                seen += [record.id for record in page.records]
                cursor, turn = page.cursor, turn + 1
                docs.upsert(rows("a", 50))
                docs.delete(ids=rows("b", 50).ids[turn * 3 : turn * 3 + 3])
                docs.upsert(rows(f"new {turn}", 2))
                if cursor is None:
                    break
            assert len(seen) == len(set(seen))
            assert set(rows("a", 50).ids) <= set(seen)


def test_slots_of_deleted_rows_are_taken_again(server):
    with opened(server) as store:
        docs = store.ensure(SPEC)
        for turn in range(5):
            docs.upsert(rows(f"{turn}", 60))
            assert docs.delete(ids=rows(f"{turn}", 60).ids) == 60
        docs.upsert(rows("last", 60))
        assert docs.count() == 60
        batch = rows("last", 60)
        kept = {row.id: row.vector for row in docs.get(batch.ids, with_vectors=True)}
        assert np.array_equal([kept[row_id] for row_id in batch.ids], batch.vectors)
        with redis.Redis(port=server.port) as client:
            (number,) = {key.split(b":")[1] for key in client.keys("embedkit:*:row:*")}
            assert int(client.get(b"embedkit:%s:next" % number)) == 60
            terms = client.keys(b"embedkit:%s:term:*" % number)
        assert not any(b'"0"' in term or b'"4"' in term for term in terms), "the terms of rows that are gone are gone"


def test_a_deletion_by_filter_leaves_what_was_written_since(server, monkeypatch):
    """Between the moment at which the rows are found and that at which they go."""
    with opened(server) as store, opened(server) as other:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 10))
        real = _collection.RedisCollection._found

        def late(self, what, filter):
            found = real(self, what, filter)
            changed = rows("b", 4)
            changed.ids[:] = rows("a", 4).ids
            other.open(SPEC.name).upsert(changed)
            return found

        monkeypatch.setattr(_collection.RedisCollection, "_found", late)
        assert docs.delete(filter=F("turn") == "a") == 6
        monkeypatch.undo()
        assert docs.count() == docs.count(F("turn") == "b") == 4


def test_a_search_by_filter_gives_no_row_that_was_changed_since(server, monkeypatch):
    with opened(server) as store, opened(server) as other:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 10))
        real = _collection.RedisCollection._found

        def late(self, what, filter):
            found = real(self, what, filter)
            changed = rows("b", 4)
            changed.ids[:] = rows("a", 4).ids
            other.open(SPEC.name).upsert(changed)
            other.open(SPEC.name).delete(ids=rows("a", 10).ids[4:6])
            return found

        monkeypatch.setattr(_collection.RedisCollection, "_found", late)
        (hits,) = docs.query(rows("a", 1).vectors, 10, filter=F("turn") == "a")
        assert sorted(hit.id for hit in hits) == [f"a {i}" for i in range(6, 10)]
        assert sorted(row.id for row in docs.scan(filter=F("turn") == "a").records) == [f"a {i}" for i in range(6, 10)]


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "binary"])
def test_nearest_rows_are_those_of_numpy(server, metric, precision, monkeypatch):
    """Over several blocks, of which some are read whole and some by their rows."""
    monkeypatch.setattr(_collection, "_BLOCK_BYTES", 8192)
    if metric != "cosine" and precision in ("int8", "binary"):
        pytest.skip("these keep directions alone")
    vectors = np.random.default_rng(2).normal(size=(3000, DIM)).astype(np.float32)
    kept = unit_length(vectors) if metric == "cosine" else vectors
    kept = rounded(kept, precision)
    with opened(server) as store:
        spec = CollectionSpec("docs", DIM, metric, Keeping(precision).added_to("model"))
        docs = store.ensure(spec)
        metadata = [{"tenth": i % 10, "i": i} for i in range(3000)]
        docs.upsert(text_batch([str(i) for i in range(3000)], vectors=vectors, metadata=metadata))
        asked = kept[:3]
        far = np.linalg.norm(kept[None].astype(float) - asked[:, None], axis=2)
        scores = -far if metric == "euclidean" else asked.astype(float) @ kept.T.astype(float)
        chosen = [
            (np.arange(3000), None),
            (np.arange(3, 3000, 10), F("tenth") == 3),
            (np.arange(700, 720), (F("i") >= 700) & (F("i") < 720)),
        ]
        for allowed, expression in chosen:
            for row, hits in zip(scores, docs.query(vectors[:3], 20, filter=expression), strict=True):
                best = np.sort(row[allowed])[::-1][:20]
                np.testing.assert_allclose([hit.score for hit in hits], best, atol=1e-5)
                assert {int(hit.id) for hit in hits} <= set(allowed.tolist())


def test_values_are_filtered_on_exactly(server):
    values = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1e300, "a\0b", "a\0c", "a", "\uffff", "🎉", True, 1, 0.1]
    with opened(server) as store:
        docs = store.ensure(CollectionSpec("docs", DIM))
        fields = [{"x\0'\"": value} for value in values]
        docs.upsert(text_batch([repr(value) for value in values], metadata=fields))
        field = F("x\0'\"")
        for value in values:
            assert [record.id for record in docs.scan(filter=field == value).records] == [repr(value)]
        for bound, expected in [
            (field > 2**53, {2**53 + 1, 2**63 - 1, 1e300}),
            (field < 2**53 + 1, {2**53, -(2**63), 1, 0.1}),
            (field > "a\0b", {"a\0c", "\uffff", "🎉"}),
            (field <= 0.1, {-(2**63), 0.1}),
            (field < 0.1, {-(2**63)}),
        ]:
            found = {record.id for page in docs.pages(bound) for record in page}
            assert found == {repr(value) for value in expected if value is not True}, bound
        assert [docs.get([repr(value)])[0].metadata for value in values] == fields


def test_a_dropped_collection_leaves_no_key_and_its_name_is_free(server):
    with opened(server) as store, opened(server) as other:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 3))
        held = other.open(SPEC.name)
        store.drop(SPEC.name)
        for use in (docs.count, held.count, lambda: held.upsert(rows("b", 2)), lambda: held.delete(ids=["a 0"])):
            with pytest.raises(StoreError, match="dropped"):
                use()
        with pytest.raises(CollectionNotFoundError):
            store.open(SPEC.name)
        with redis.Redis(port=server.port) as client:
            assert sorted(client.keys("*")) == [b"embedkit:number"]
        assert store.ensure(SPEC).count() == 0


def test_what_a_drop_that_was_cut_has_left_goes_with_the_next(server):
    with opened(server) as store:
        store.ensure(SPEC).upsert(rows("a", 3))
        with redis.Redis(port=server.port) as client:
            # as it is after the first step of a drop
            client.sadd("embedkit:dropped", 1)
            client.hdel("embedkit:collections", "docs")
            client.unlink("embedkit:1")
            client.set("theirs", "1")
            client.set("embedkit:10:x", "of another")
            store.drop("nothing")
            assert sorted(client.keys("*")) == [b"embedkit:10:x", b"embedkit:number", b"theirs"]


def test_databases_are_apart(server):
    with opened(server) as store, GuardedStore(open_store(StoreURL.parse(f"{server.url}/1"))) as other:
        store.ensure(SPEC).upsert(rows("a", 3))
        assert other.names() == []


def test_a_password_comes_from_the_environment(monkeypatch):
    own = RedisServer("--requirepass", "not a secret")
    try:
        for given in (None, "wrong"):
            if given:
                monkeypatch.setenv("REDIS_PASSWORD", given)
            with pytest.raises(StoreError, match="environment") as refused:
                opened(own)
            assert not isinstance(refused.value, TransientStoreError)
        monkeypatch.setenv("REDIS_PASSWORD", "not a secret")
        with opened(own) as store:
            assert store.names() == []
        monkeypatch.delenv("REDIS_PASSWORD")
        monkeypatch.setenv("VALKEY_PASSWORD", "not a secret")
        with GuardedStore(
            embedkit_redis.valkey.open_store(StoreURL.parse(own.url.replace("redis", "valkey")))
        ) as store:
            assert store.ensure(SPEC).count() == 0
    finally:
        own.stop()


def test_a_server_that_throws_keys_away_is_refused_and_one_that_is_full_says_so(server):
    with redis.Redis(port=server.port) as client:
        before = client.config_get("maxmemory*")
        try:
            client.config_set("maxmemory", client.info("memory")["used_memory"] + (1 << 20))
            client.config_set("maxmemory-policy", "allkeys-lru")
            with pytest.raises(StoreError, match="noeviction"):
                opened(server)
            client.config_set("maxmemory-policy", "noeviction")
            with opened(server) as store:
                docs = store.ensure(SPEC)
                with pytest.raises(StoreError, match="memory is full"):
                    for turn in range(200):
                        docs.upsert(rows(str(turn), 500))
                ids = [row_id for turn in range(200) for row_id in rows(str(turn), 500).ids]
                there = docs.delete(ids=ids)
                assert 0 < there < 100_000
                client.config_set("maxmemory", 0)
                assert docs.count() == 0
                assert docs.delete(ids=ids) == 0
                client.config_set("maxmemory", 1)
                store.drop(SPEC.name)
                assert sorted(client.keys("*")) == [b"embedkit:number"]
        finally:
            for name in ("maxmemory", "maxmemory-policy"):
                client.config_set(name, before[name])


def test_a_server_that_is_too_old_is_refused(server, monkeypatch):
    monkeypatch.setattr(redis.Redis, "info", lambda self, part: {"redis_version": "5.0.14"})
    with pytest.raises(StoreError, match=r"5\.0\.14"):
        opened(server)


def test_a_server_that_goes_away_and_one_that_keeps_silent(monkeypatch):
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", "0.5")
    own = RedisServer()
    try:
        with opened(own) as store:
            docs = store.ensure(SPEC)
            own.process.send_signal(signal.SIGSTOP)
            with pytest.raises(TransientStoreError):
                docs.count()
            own.process.send_signal(signal.SIGCONT)
            assert docs.count() == 0
            own.kill()
            with pytest.raises(TransientStoreError, match="look whether the server runs"):
                docs.count()
            with pytest.raises(TransientStoreError, match="no redis server answers"):
                opened(own)
            own.start()
            assert docs.count() == 0
    finally:
        own.stop()


def test_a_replica_and_a_closed_store_say_so(server):
    with redis.Redis(port=server.port) as client:
        store = opened(server)
        docs = store.ensure(SPEC)
        client.replicaof("127.0.0.1", 1)
        try:
            with pytest.raises(StoreError, match="replica"):
                docs.upsert(rows("a", 1))
        finally:
            client.replicaof("NO", "ONE")
        store.close()
        store.close()
        with pytest.raises(StoreError, match="closed"):
            docs.count()


@pytest.mark.parametrize(
    "text", ["redis:", "redis:index", "redis://:memory:", "redis+https://h", "redis://h:1/x", "redis://h:1/1/2"]
)
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError, match="redis://HOST:PORT/DATABASE"):
        open_store(StoreURL.parse(text))


def test_valkey_is_named_as_it_is():
    with pytest.raises(StoreURLError, match="valkey://HOST:PORT/DATABASE"):
        embedkit_redis.valkey.open_store(StoreURL.parse("valkey:index"))
    assert list(embedkit_redis.valkey.CAPABILITIES.values()) == list(embedkit_redis.CAPABILITIES.values())


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[redis\]"):
        open_store(StoreURL.parse("redis://localhost"))
