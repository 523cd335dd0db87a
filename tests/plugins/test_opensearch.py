"""OpenSearch and Elasticsearch, against a stand-in for their servers."""

from __future__ import annotations

import json
import math
import random
import sys
from dataclasses import replace

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, MissingExtraError, StoreError, StoreURLError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.records.metadata import plain_number
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.keeping import Keeping
from embedkit.stores.writer import Writer
from embedkit.testing import StoreTests
from embedkit.testing.samples import text_batch
from embedkit.vectors.arrays import unit_length

pytest.importorskip("opensearchpy")
import embedkit_opensearch.elasticsearch
from embedkit_opensearch import _collection, _dialects, open_store
from embedkit_opensearch._where import written
from helpers import slow
from helpers.opensearch_stand_in import CUT, HUNG, Index, stand_in

SPEC = CollectionSpec("docs", 2, "cosine", "model")


def rows(turn: str, n: int) -> RecordBatch:
    ids = [f"{turn} {i}" for i in range(n)]
    return text_batch(ids, vectors=np.ones((n, 2), np.float32), metadata=[{"turn": turn, "i": i} for i in range(n)])


@pytest.fixture(scope="module")
def opensearch():
    with stand_in() as (_, url):
        yield url


@pytest.fixture(scope="module")
def elasticsearch():
    with stand_in("elasticsearch") as (_, url):
        yield url


class TestOpenSearch(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, opensearch):
        return lambda: open_store(StoreURL.parse(opensearch))


@slow.another_form
class TestElasticsearch(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, elasticsearch):
        return lambda: open_store(StoreURL.parse(elasticsearch))


@pytest.fixture(params=["opensearch", "elasticsearch"])
def server(request):
    with stand_in(request.param) as (state, url):
        yield state, url


def opened(url: str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(url)))


ASKED = {
    "POST .*/_bulk": lambda docs: docs.upsert(rows("a", 1)),
    "POST .*/_mget": lambda docs: docs.get(["a"]),
    "POST .*/_msearch": lambda docs: docs.query(np.ones((1, 2)), 1),
    "POST .*/_search": lambda docs: docs.scan(),
    "POST .*/_delete_by_query": lambda docs: docs.delete(filter=F("n") == 7),
}


@pytest.mark.parametrize("pattern", ASKED)
@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        ((429, {"Retry-After": "7"}, '{"error": {"type": "circuit_breaking_exception"}}'), TransientStoreError, 7.0),
        ((503, {}, "<html>overloaded</html>"), TransientStoreError, None),
        (CUT, TransientStoreError, None),
        ((413, {}, "too large"), StoreError, None),
        ((400, {}, '{"error": {"type": "parsing_exception", "reason": "bad input"}}'), StoreError, None),
        ((401, {}, "no key"), StoreError, None),
        ((404, {}, '{"error": {"type": "index_not_found_exception"}}'), CollectionNotFoundError, None),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_answers_that_fail(server, pattern, fault, kind, wait):
    state, url = server
    with opened(url) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("there", 1))
        state.faults[pattern] = [fault]
        with pytest.raises(kind) as caught:
            ASKED[pattern](docs)
        assert type(caught.value) is kind
        assert getattr(caught.value, "retry_after", None) == wait
        assert "'docs'" in str(caught.value)
        ASKED[pattern](docs)


def test_of_a_batch_the_server_refuses_one_row(server):
    """As one that its mapping does not take: all others are written, and it is named."""
    state, url = server
    state.refusals["a 2"] = (400, "mapper_parsing_exception")
    with opened(url) as store:
        docs = store.ensure(SPEC)
        result = docs.upsert(rows("a", 5))
        assert (result.written, [row.id for row in result.failed]) == (4, ["a 2"])
        assert "mapper_parsing_exception: not this one" in result.failed[0].reason
        assert docs.count() == 4
        told = Writer(docs).write(rows("a", 5))
        assert (told.written, [row.id for row in told.failed]) == (4, ["a 2"])


@pytest.mark.parametrize(
    ("status", "kind"), [(429, TransientStoreError), (503, TransientStoreError), (403, StoreError)]
)
def test_of_a_batch_the_server_has_no_room_for_one_row(server, status, kind):
    """The whole batch is tried again: what was written of it is written once more."""
    state, url = server
    state.refusals["a 2"] = (status, "es_rejected_execution_exception")
    with opened(url) as store:
        docs = store.ensure(SPEC)
        with pytest.raises(kind, match="rejected") as caught:
            docs.upsert(rows("a", 5))
        assert type(caught.value) is kind
        state.refusals.clear()
        assert docs.upsert(rows("a", 5)).written == docs.count() == 5


def test_a_server_that_takes_no_row_is_in_trouble_and_not_the_rows(server):
    state, url = server
    with opened(url) as store:
        docs = store.ensure(SPEC)
        state.index("embedkit-docs").mappings["properties"]["vector"] |= {"dimension": 3, "dims": 3}
        with pytest.raises(StoreError, match="Vector dimension mismatch"):
            docs.upsert(rows("a", 5))
        with pytest.raises(StoreError, match="Vector dimension mismatch"):
            Writer(docs).write(rows("a", 5))


def test_an_index_that_is_not_embedkits_is_left_alone(server):
    state, url = server
    state.indexes["embedkit-docs"] = Index({"mappings": {"properties": {"vector": {"type": "keyword"}}}}, state.flavour)
    with opened(url) as store:
        with pytest.raises(StoreError, match="was not made by embedkit"):
            store.ensure(SPEC)
        store.drop("docs")
        assert store.names() == []
        assert "embedkit-docs" in state.indexes


def test_an_index_without_its_alias_says_so_and_can_be_dropped(server):
    state, url = server
    with opened(url) as store:
        store.ensure(SPEC)
        state.indexes["embedkit-docs"].aliases.clear()
        with pytest.raises(StoreError, match=r"lost its alias 'embedkit-docs\.rows'"):
            store.open("docs")
        store.drop("docs")
        assert store.names() == []


def test_a_write_to_a_dropped_collection_makes_no_index(server):
    state, url = server
    with opened(url) as store:
        docs = store.ensure(SPEC)
        store.drop("docs")
        for act in ASKED.values():
            with pytest.raises(CollectionNotFoundError, match="dropped meanwhile"):
                act(docs)
        assert docs.inner.delete(ids=[]) == 0
        assert state.indexes == {}


def test_a_race_to_create_ends_well(server, monkeypatch):
    _, url = server
    with opened(url) as first, opened(url) as second:
        missing = iter([CollectionNotFoundError("not yet")])
        real = type(second.inner).open

        def late(self, name):
            for error in missing:
                raise error
            return real(self, name)

        first.ensure(SPEC).upsert(rows("a", 1))
        monkeypatch.setattr(type(second.inner), "open", late)
        assert second.ensure(SPEC).count() == 1


def test_a_deletion_by_filter_leaves_what_was_written_since(server):
    """Between the moment at which the rows are found and that at which they go; over more rows than go at once."""
    state, url = server
    with opened(url) as store, opened(url) as other:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 2_010))
        changed = rows("b", 4)
        changed.ids[:] = rows("a", 4).ids

        def write():
            state.between = lambda: None
            other.open("docs").upsert(changed)

        state.between = write
        assert docs.delete(filter=F("turn") == "a") == 2_006
        assert docs.count() == docs.count(F("turn") == "b") == 4


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_many_rows_are_searched_by_the_graph_and_all_of_them_where_more_are_wanted(server, metric, monkeypatch):
    """The stand-in's graph misses none; what is asked of it is told."""
    monkeypatch.setattr(_collection, "COMPARED", 50)
    for module in (_collection, _dialects):
        monkeypatch.setattr(module, "MOST_HITS", 80)
    vectors = np.random.default_rng(3).normal(size=(120, 2)).astype(np.float32)
    kept = unit_length(vectors) if metric == "cosine" else vectors
    state, url = server
    with opened(url) as store:
        docs = store.ensure(CollectionSpec("docs", 2, metric, Keeping(index=(("search", 90),)).added_to("model")))
        ids = [str(i) for i in range(120)]
        docs.upsert(text_batch(ids, vectors=vectors, metadata=[{"half": i % 2} for i in range(120)]))
        asked = kept[:3].astype(np.float64)
        scores = asked @ kept.T.astype(np.float64)
        if metric == "euclidean":
            scores = -np.linalg.norm(kept[None].astype(np.float64) - asked[:, None], axis=2)
        bodies = state.searches
        for k, expression, way in [
            (7, None, "graph"),
            (7, F("half") == 1, "graph"),
            (100, F("half") == 1, None),
            (100, None, None),
            (7, (F("half") == 1) & (F("half") == 0), None),
        ]:
            bodies.clear()
            for row, hits in zip(scores, docs.query(vectors[:3], k, filter=expression), strict=True):
                which = np.array(
                    [i for i in range(120) if expression is None or expression.matches({"half": i % 2})], int
                )
                np.testing.assert_allclose([hit.score for hit in hits], np.sort(row[which])[::-1][:k], atol=1e-6)
                assert {int(hit.id) for hit in hits} <= set(which.tolist())
            graphs = [body for body in bodies if "knn" in body or "knn" in body.get("query", {})]
            assert len(graphs) == (3 if way else 0)
            for body in graphs:
                found = body.get("knn") or body["query"]["knn"]["vector"]
                assert max(found["k"], found.get("num_candidates", 0)) == 80  # no more than the server takes
                assert ("filter" in found) == (expression is not None)


def test_where_the_graph_gives_fewer_hits_than_there_are_all_rows_are_compared(server, monkeypatch):
    monkeypatch.setattr(_collection, "COMPARED", 5)
    state, url = server
    with opened(url) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 20))
        state.indexes["embedkit-docs"].lost = {f"a {i}" for i in range(12)}
        assert [len(hits) for hits in docs.query(np.ones((3, 2)), 8)] == [8] * 3
        assert len(state.searches) == 3
        assert [len(hits) for hits in docs.query(np.ones((3, 2)), 9)] == [9] * 3
        assert len(state.searches) == 9
        assert len(docs.query(np.ones((1, 2)), 100)[0]) == 20


def test_numbers_are_written_in_their_order():
    numbers = [-1e308, -(2**63), -(2**63) + 1, -(2**53) - 1, -(2**53), -2.5, -1, -5e-324, 0, 5e-324, 0.1, 1, 2**53 - 1]
    numbers += [2**53, 2**53 + 1, 2**53 + 2, 2**62 + 1, 2**63 - 1025, 2**63 - 1024, 2**63 - 2, 2**63 - 1, 2.0**63]
    numbers += [math.nextafter(2.0**63, math.inf), 1e300]
    found = [written(number) for number in numbers]
    assert found == sorted(set(found))
    rng = random.Random(1)
    drawn: list[float] = [rng.randint(-(2**63), 2**63 - 1) >> rng.randint(0, 62) for _ in range(2_000)]
    drawn += [float(number) for number in drawn[:500] if not float(number).is_integer() or abs(number) >= 2**63]
    drawn += [rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for _ in range(2_000)]
    plain = sorted({plain_number(number) for number in drawn})
    assert [written(number) for number in plain] == sorted({written(number) for number in plain})


@pytest.mark.parametrize("key", [False, True])
def test_credentials_come_from_the_environment_and_are_never_shown(server, monkeypatch, key):
    state, url = server
    state.credentials = "ApiKey very-secret" if key else "mé €:very-secret"
    with pytest.raises(StoreError, match="credentials in the environment") as refused:
        opened(url)
    assert not isinstance(refused.value, TransientStoreError)
    given = {"API_KEY": "very-secret"} if key else {"USERNAME": "mé €", "PASSWORD": "very-secret"}
    for name, value in given.items():
        monkeypatch.setenv(f"{state.flavour.upper()}_{name}", value)
    with opened(url) as store:
        docs = store.ensure(SPEC)
        state.credentials = "changed"
        with pytest.raises(StoreError, match="environment") as caught:
            docs.count()
        shown = f"{caught.value!r} {caught.value.__cause__!r} {store!r} {docs.inner!r}"
    assert "very-secret" not in shown


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"number": "2.11.0", "distribution": "opensearch"}, "OpenSearch 2.11.0"),
        ({"number": "8.10.4"}, "Elasticsearch 8.10.4"),
        ({}, "answers there"),
        (None, "look whether OpenSearch or Elasticsearch answers"),
    ],
)
def test_a_server_that_is_too_old_or_of_another_kind_is_refused(server, told, message):
    state, url = server
    said = "<html>hello</html>" if told is None else json.dumps({"version": told})
    state.faults["GET .*"] = [(200, {"Content-Type": "text/html" if told is None else "application/json"}, said)]
    with pytest.raises(StoreError, match=message):
        opened(url)


def test_a_server_that_keeps_silent_and_one_that_is_gone(monkeypatch):
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", "0.5")
    with stand_in() as (state, url), opened(url) as store:
        docs = store.ensure(SPEC)
        state.faults["POST .*/_search"] = [HUNG]
        with pytest.raises(TransientStoreError, match="look whether the server runs"):
            docs.count()
        assert docs.count() == 0
    with pytest.raises(TransientStoreError, match="no opensearch server answers"):
        opened(url)
    with pytest.raises(StoreError, match="closed"):
        docs.count()


def test_what_a_server_could_not_do_in_whole_is_tried_again(server):
    state, url = server
    answers = {
        "POST .*/_mget": {"docs": [{"_id": "a", "error": {"type": "no_shard_available_action_exception"}}]},
        "POST .*/_delete_by_query": {"timed_out": True, "failures": [], "total": 0, "deleted": 0},
        "POST .*/_search": {"_shards": {"total": 2, "failed": 1}, "hits": {"hits": []}},
        "POST .*/_msearch": {"responses": [{"error": {"type": "search_phase_execution_exception"}, "status": 503}]},
    }
    with opened(url) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 1))
        for pattern, answer in answers.items():
            state.faults[pattern] = [(200, {}, json.dumps(answer))]
            with pytest.raises(TransientStoreError, match="'docs'"):
                ASKED[pattern](docs)
            ASKED[pattern](docs)
        failed = {"failures": [{"status": 403, "cause": {"type": "cluster_block_exception", "reason": "read only"}}]}
        state.faults["POST .*/_delete_by_query"] = [(200, {}, json.dumps(failed))]
        with pytest.raises(StoreError, match="takes no writes here"):
            docs.delete(filter=F("n") == 7)


def test_what_a_collection_takes_is_measured(server):
    with opened(server[1]) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 3))
        assert docs.inner.measured().bytes > 100


@pytest.mark.parametrize("text", ["opensearch:", "opensearch:index", "opensearch://:memory:", "opensearch+tls://h"])
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError, match="opensearch://HOST:PORT"):
        open_store(StoreURL.parse(text))


def test_a_path_is_a_part_of_the_address(server):
    state, url = server
    with pytest.raises(StoreError, match=r"/behind/it: no .* answers there"):
        opened(f"{url}/behind/it/")
    assert state.requests[-1][0] == "GET /behind/it/"


def test_elasticsearch_is_named_as_it_is():
    with pytest.raises(StoreURLError, match="elasticsearch://HOST:PORT"):
        embedkit_opensearch.elasticsearch.open_store(StoreURL.parse("elasticsearch:index"))
    (caps,) = embedkit_opensearch.elasticsearch.CAPABILITIES.values()
    assert replace(caps, max_dim=16_000) == embedkit_opensearch.CAPABILITIES[embedkit_opensearch.SERVER]


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensearchpy", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[opensearch\]"):
        open_store(StoreURL.parse("opensearch://localhost"))
