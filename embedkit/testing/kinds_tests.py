"""The conformance cases of sparse vectors and of several vectors a row, a part of `StoreTests`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from embedkit.errors import CollectionMismatchError, InputError, StoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit
from embedkit.records.filters import F, Filter
from embedkit.stores.contract import Capabilities, CollectionSpec, Metric, VectorStore
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

DIM, WORDS, TOKEN = 8, 30_522, 6
ROWS = 60


def batch(ids: list[str], *, kinds: str = "dsm", seed: int = 0, dim: int = DIM, any_size: bool = False) -> RecordBatch:
    """Rows with vectors of the ``kinds`` d(ense), s(parse) and m(ultivector); row i has ``n`` = i and ``t`` the same as text, and
    one in five rows has no words. Vectors are of unit length and words weigh above 0, unless they may have ``any_size``."""
    rng = np.random.default_rng([seed, len(ids)])
    n = len(ids)
    dense = rng.normal(size=(n, dim)).astype(np.float32)
    dense = 7 * dense if any_size else dense / np.linalg.norm(dense, axis=1, keepdims=True)
    rows = [
        (rng.choice(300, size, replace=False) * 101, rng.normal(0, 5, size) if any_size else rng.random(size) + 0.01)
        for size in (0 if i % 5 == 4 else int(rng.integers(1, 120)) for i in range(n))
    ]
    several = [rng.normal(size=(int(rng.integers(1, 7)), TOKEN)).astype(np.float32) for _ in range(n)]
    several = [7 * v if any_size else v / np.linalg.norm(v, axis=1, keepdims=True) for v in several]
    return RecordBatch(
        ids,
        dense if "d" in kinds else np.empty((n, 0), np.float32),
        [f"text {i}" for i in ids],
        [{"n": i, "t": f"{i:02}"} for i in range(n)],
        [f"hash {i} {seed}" for i in ids],
        sparse=SparseVectors.of_rows(rows, WORDS) if "s" in kinds else None,
        multivectors=MultiVectors.of(several, TOKEN) if "m" in kinds else None,
    )


def spec(kinds: str, metric: Metric = "cosine") -> CollectionSpec:
    """A new collection of these kinds."""
    return CollectionSpec(
        f"kinds {uuid.uuid4().hex}",
        DIM if "d" in kinds else 0,
        metric,
        fingerprint="f",
        sparse=WORDS if "s" in kinds else 0,
        multivector=TOKEN if "m" in kinds else 0,
    )


class KindsTests:
    """What a store does with vectors that are not dense, by its capabilities."""

    persistent = False

    def kinds(self, store: GuardedStore) -> str:
        """d, and s and m where the store has them; skips where it has neither."""
        caps = store.caps
        found = "d" + "s" * caps.sparse + "m" * caps.multivector
        if found == "d":
            pytest.skip("a declared capability: this store keeps dense vectors only")
        return found

    def filled(self, store: GuardedStore, kinds: str) -> tuple[GuardedCollection, RecordBatch]:
        """A collection of `ROWS` rows."""
        rows = batch([f"row {i}" for i in range(ROWS)], kinds=kinds)
        docs = store.ensure(spec(kinds))
        assert docs.upsert(rows).written == ROWS
        docs.flush()
        return docs, rows

    def test_what_a_store_cannot_keep_is_refused(self, store: GuardedStore) -> None:
        for kind, able in (("s", store.caps.sparse), ("m", store.caps.multivector)):
            for kinds in (f"d{kind}", kind):
                wanted = spec(kinds)
                if able:
                    assert store.ensure(wanted).info.dim == wanted.dim
                    continue
                with pytest.raises(StoreError, match=r"keeps no.*memory:NAME"):
                    store.ensure(wanted)
                assert wanted.name not in store.names()

    @pytest.mark.parametrize(
        "expression", [None, F("n") < 20, ~(F("n") == 3) & (F("t") >= "04") & (F("t") < "41"), F("n").is_in([])]
    )
    @pytest.mark.parametrize("k", [1, 7, ROWS])
    def test_the_nearest_are_those_of_a_comparison_with_all(
        self, store: GuardedStore, expression: Filter | None, k: int
    ) -> None:
        kinds = self.kinds(store)
        docs, rows = self.filled(store, kinds)
        asked = batch(["a", "b", "c", "d", "e"], kinds="dsm", seed=9)
        _nearest(docs, rows, asked, k, expression)
        found = docs.query(asked.vectors, k, filter=expression)
        _agree(found, asked.vectors @ rows.vectors.T, rows, _kept(rows, expression), k)

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
    def test_products_are_of_vectors_of_any_size_whatever_the_metric(self, store: GuardedStore, metric: Metric) -> None:
        kinds = self.kinds(store)
        if metric not in store.caps.metrics:
            pytest.skip(f"a declared capability: no metric {metric}")
        for some in {kinds, *(kind for kind in kinds if kind != "d")}:
            docs = store.ensure(spec(some, metric))
            rows = _as_taken(batch([f"row {i}" for i in range(ROWS)], kinds=some, any_size=True), store.caps)
            asked = _as_taken(batch(["a", "b", "c"], seed=9, any_size=True), store.caps)
            assert docs.upsert(rows).written == ROWS
            for k in (3, ROWS):
                _nearest(docs, rows, asked, k, None)
                _nearest(docs, rows, asked, k, F("n") >= 30)

    def test_raw_the_best_come_first(self, store: GuardedStore, raw_store: VectorStore) -> None:
        kinds = self.kinds(store)
        docs, rows = self.filled(store, kinds)
        for k in (1, 7, ROWS):
            _nearest(raw_store.open(docs.info.name), rows, batch(["a", "b", "c"], seed=9), k, None)

    def test_a_row_whose_weights_a_store_does_not_take_costs_no_other(self, store: GuardedStore) -> None:
        kinds, caps = self.kinds(store), store.caps
        if "s" not in kinds:
            pytest.skip("a declared capability: this store keeps no sparse vectors")
        docs = store.ensure(spec("s"))
        most = caps.max_weights or WORDS - 1
        assert most < WORDS, "what is declared is more than this test writes"
        places = np.arange(WORDS)
        weights = SparseVectors.of_rows(
            [([5], [1.0]), (places[:most], places[:most] + 1.0), ([5, 6], [1, -2.0]), (places, places + 1.0)], WORDS
        )
        ids = ["few", "most", "negative", "all"]
        rows = RecordBatch(ids, np.empty((4, 0), np.float32), ids, [{}] * 4, ids, sparse=weights)
        refused = [*([] if caps.negative_weights else ["negative"]), *(["all"] if caps.max_weights else [])]
        result = docs.upsert(rows)
        assert [row.id for row in result.failed] == refused
        assert result.written == docs.count() == 4 - len(refused)
        for i, row_id in enumerate(ids):
            if row_id in refused:
                with pytest.raises(InputError, match="this store takes"):
                    docs.query_sparse(weights[i : i + 1], 4)
                continue
            (record,) = docs.get([row_id], with_vectors=True)
            assert record.sparse == weights[i : i + 1]
            found = {hit.id: hit.score for hit in docs.query_sparse(weights[i : i + 1], 4)[0]}
            products = weights[i : i + 1].dot(weights)[0]
            assert found.keys() == {other for other in ids if other not in refused}
            assert all(np.isclose(found[ids[j]], products[j], rtol=1e-5) for j in range(4) if ids[j] in found)

    @pytest.mark.parametrize("expression", [None, F("n") < 30, ~(F("n") == 3) & (F("t") >= "04")])
    def test_weights_that_cancel_out_keep_no_other_row_away(
        self, store: GuardedStore, expression: Filter | None
    ) -> None:
        """Products are below 0, above 0 and, though both share a number, 0: the last is no hit, the first is one."""
        if "s" not in self.kinds(store) or not store.caps.negative_weights:
            pytest.skip("a declared capability: this store keeps no weights below 0")
        docs = store.ensure(spec("s"))
        ids = [f"row {i}" for i in range(ROWS)]
        pairs = [(i % 3 - 1, i % 5 - 2) for i in range(ROWS)]
        weights = SparseVectors.of_rows([([5, 9, 11], [a / 4, b / 4, i % 2]) for i, (a, b) in enumerate(pairs)], WORDS)
        metadata = [{"n": i, "t": f"{i:02}"} for i in range(ROWS)]
        rows = RecordBatch(ids, np.empty((ROWS, 0), np.float32), ids, metadata, ids, sparse=weights)
        assert docs.upsert(rows).written == ROWS
        asked = SparseVectors.of_rows(
            [([5, 9], [1, 1]), ([5, 9], [1, -2]), ([9], [-1]), ([5, 9, 11], [2, 1, -0.5])], WORDS
        )
        scores = asked.dot(weights)
        for flushed in (False, True):
            if flushed:
                docs.flush()
            for k in (1, 2, 13, 25, ROWS, 2 * ROWS):
                for hits, expected in zip(docs.query_sparse(asked, k, filter=expression), scores, strict=True):
                    best = sorted((expected[i] for i in _kept(rows, expression) if expected[i]), reverse=True)[:k]
                    assert [hit.score for hit in hits] == best
                    assert all(hit.score == expected[ids.index(hit.id)] for hit in hits)

    def test_nothing_is_found_by_nothing(self, store: GuardedStore) -> None:
        kinds = self.kinds(store)
        docs, _ = self.filled(store, kinds)
        empty = store.ensure(spec(kinds))
        asked = batch(["a", "b"], seed=9)
        if "s" in kinds:
            nothing = SparseVectors.of_rows([([], []), ([1], [1.0]), ([], [])], WORDS)
            assert docs.query_sparse(nothing, 5) == [[], [], []]
            assert docs.query_sparse(nothing[:0], 5) == []
            assert empty.query_sparse(nothing, 5, filter=F("n") == 1) == [[], [], []]
        if "m" in kinds:
            assert asked.multivectors is not None
            assert docs.query_multivector(asked.multivectors[:0], 5) == []
            assert docs.query_multivector(asked.multivectors, 5, filter=F("n") == -1) == [[], []]
            assert empty.query_multivector(asked.multivectors, 5) == [[], []]

    def test_rows_come_back_as_they_were_written(self, store: GuardedStore, connect: Callable[[], VectorStore]) -> None:
        kinds = self.kinds(store)
        for some in {kinds, *(kind for kind in kinds if kind != "d")}:
            docs, rows = self.filled(store, some)
            records = docs.get(list(rows.ids), with_vectors=True)
            for i, record in enumerate(records):
                assert (record.id, record.text, record.hash) == (rows.ids[i], rows.texts[i], rows.hashes[i])
                assert record.vector is None or np.array_equal(record.vector, rows.vectors[i])
                assert (record.vector is None) == ("d" not in some)
                assert record.sparse == (None if rows.sparse is None else rows.sparse[i : i + 1])
                assert (record.multivector is None) == (rows.multivectors is None)
                if record.multivector is not None and rows.multivectors is not None:
                    assert np.array_equal(record.multivector, rows.multivectors[i])
            assert all(record.sparse is None and record.multivector is None for record in docs.get(list(rows.ids)))
            assert len(docs.scan(limit=2 * ROWS).records) == docs.count() == ROWS
            if self.persistent:
                name, info = docs.info.name, docs.info
                store.inner.close()
                store.inner = connect()
                assert store.open(name).info == info
                assert store.open(name).count() == ROWS

    def test_upsert_replaces_and_delete_removes(self, store: GuardedStore) -> None:
        kinds = self.kinds(store)
        docs, rows = self.filled(store, kinds)
        docs.upsert(batch([f"row {i}" for i in range(30)], kinds=kinds, seed=5))
        docs.delete(ids=[f"row {i}" for i in range(30, 40)])
        docs.delete(filter=(F("n") >= 40) & (F("n") < 50))
        new = batch([f"row {i}" for i in range(30)], kinds=kinds, seed=5)
        last = rows.take(range(50, ROWS))
        asked = batch(["a", "b"], seed=9)
        ids = [*new.ids, *last.ids]
        if new.sparse is not None and last.sparse is not None and asked.sparse is not None:
            scores = asked.sparse.dot(SparseVectors.concatenate([new.sparse, last.sparse]))
            for hits, expected in zip(docs.query_sparse(asked.sparse, ROWS), scores, strict=True):
                assert {hit.id for hit in hits} == {ids[i] for i in np.flatnonzero(expected)}
        if new.multivectors is not None and asked.multivectors is not None:
            for hits in docs.query_multivector(asked.multivectors, ROWS):
                assert {hit.id for hit in hits} == set(ids)

    def test_columns_that_do_not_fit_are_refused(self, store: GuardedStore) -> None:
        kinds = self.kinds(store)
        docs, _ = self.filled(store, kinds)
        with pytest.raises(InputError):
            docs.upsert(batch(["x"], kinds="d"))
        words, tokens = SparseVectors.of(np.ones((1, WORDS))), MultiVectors.of([np.ones((2, TOKEN))])
        for other in (SparseVectors.of(np.ones((1, 5))), tokens, words.dense()):
            with pytest.raises(InputError):
                docs.query_sparse(other, 3)  # type: ignore[arg-type]
        for other in (MultiVectors.of([np.ones((2, 5))]), words, tokens.values):
            with pytest.raises(InputError):
                docs.query_multivector(other, 3)  # type: ignore[arg-type]
        for k in (0, -1, True, 1.5):
            with pytest.raises(InputError):
                docs.query_sparse(words, k)  # type: ignore[arg-type]
            with pytest.raises(InputError):
                docs.query_multivector(tokens, k)  # type: ignore[arg-type]
        if "m" in kinds:
            with pytest.raises(InputError, match="no vectors"):
                docs.query_multivector(MultiVectors.of([np.empty((0, TOKEN), np.float32)]), 3)
            rows = batch(["good", "empty"], kinds=kinds)
            assert rows.multivectors is not None
            few = MultiVectors.of([rows.multivectors[0], np.empty((0, TOKEN), np.float32)])
            result = docs.upsert(
                RecordBatch(
                    rows.ids, rows.vectors, rows.texts, rows.metadata, rows.hashes, sparse=rows.sparse, multivectors=few
                )
            )
            assert (result.written, [row.id for row in result.failed]) == (1, ["empty"])
        another = CollectionSpec(docs.info.name, DIM, fingerprint="f")
        with pytest.raises(CollectionMismatchError, match="sparse" if "s" in kinds else "multivector"):
            store.ensure(another)
        plain = store.ensure(CollectionSpec(f"plain {uuid.uuid4().hex}", DIM))
        with pytest.raises(InputError):
            plain.upsert(batch(["x"], kinds=kinds))
        with pytest.raises(InputError):
            plain.query_sparse(SparseVectors.of(np.ones((1, WORDS))), 3)


def _as_taken(rows: RecordBatch, caps: Capabilities) -> RecordBatch:
    """With no weight below 0 where the store takes none."""
    sparse = rows.sparse
    if sparse is None or caps.negative_weights:
        return rows
    return replace(rows, sparse=SparseVectors(sparse.offsets, sparse.indices, np.abs(sparse.values), sparse.dim))


def _kept(rows: RecordBatch, expression: Filter | None) -> list[int]:
    return [i for i, row in enumerate(rows.metadata) if expression is None or expression.matches(row)]


def _nearest(docs: Any, rows: RecordBatch, asked: RecordBatch, k: int, expression: Filter | None) -> None:
    """What the collection finds by sparse and by several vectors is what a comparison with all its rows finds."""
    kept = _kept(rows, expression)
    if rows.sparse is not None and asked.sparse is not None:
        found = docs.query_sparse(asked.sparse, k, filter=expression)
        found = [[hit for hit in hits if hit.score] for hits in found]  # a plugin may give what shares no word
        _agree(found, asked.sparse.dot(rows.sparse), rows, kept, k, nothing=0.0)
    if rows.multivectors is not None and asked.multivectors is not None:
        found = docs.query_multivector(asked.multivectors, k, filter=expression)
        _agree(found, asked.multivectors.maxsim(rows.multivectors), rows, kept, k)


def _agree(
    found: list[list[Hit]],
    scores: np.ndarray,
    rows: RecordBatch,
    kept: list[int],
    k: int,
    nothing: float | None = None,
) -> None:
    for hits, expected in zip(found, scores, strict=True):
        ranked = sorted((-float(expected[i]), rows.ids[i]) for i in kept if nothing is None or expected[i] != nothing)[
            :k
        ]
        got = [(-hit.score, hit.id) for hit in hits]
        assert len(got) == len(ranked)
        assert np.allclose([score for score, _ in got], [score for score, _ in ranked], rtol=1e-4, atol=1e-5)
        worst = ranked[-1][0] if ranked else 0.0
        clear = {row_id for score, row_id in ranked if score < worst - 1e-4}
        assert clear <= {row_id for _, row_id in got}
