"""The conformance cases of dense vectors: kept as they are, and the nearest found; a part of `StoreTests`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from embedkit.errors import CollectionMismatchError, InputError, StoreError
from embedkit.records.documents import Page
from embedkit.records.filters import F, Filter
from embedkit.stores.contract import Collection, CollectionSpec, VectorStore
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.keeping import PRECISIONS, SETTINGS, Keeping, rounded

from .samples import DIM, dense_of, fresh_name, text_batch, unit_vectors


class VectorTests:
    """Dense vectors: kept as they are, and the nearest found."""

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
    def test_vectors_come_back_bit_for_bit(self, store: GuardedStore, metric: Any) -> None:
        docs = _ensure(store, metric)
        vectors = (
            unit_vectors(50)
            if metric == "cosine"
            else np.random.default_rng(3).normal(0, 100, (50, DIM)).astype(np.float32)
        )
        if metric != "cosine":
            vectors[0] = 0
        ids = [str(i) for i in range(50)]
        docs.upsert(text_batch(ids, vectors=vectors))
        found = docs.get(ids, with_vectors=True)
        assert all(dense_of(record).dtype == np.float32 and dense_of(record).shape == (DIM,) for record in found)
        assert np.array_equal(np.stack([dense_of(record) for record in found]), vectors)

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
    def test_query_agrees_with_brute_force(self, store: GuardedStore, metric: Any) -> None:
        docs = _ensure(store, metric)
        rng = np.random.default_rng(5)
        rows, asked = rng.normal(size=(200, DIM)).astype(np.float32), rng.normal(size=(7, DIM)).astype(np.float32)
        docs.upsert(
            text_batch([str(i) for i in range(200)], vectors=rows, metadata=[{"part": i % 4} for i in range(200)])
        )
        exact = asked.astype(np.float64) @ rows.T.astype(np.float64)
        if metric == "euclidean":
            exact = -np.linalg.norm(asked[:, None, :].astype(np.float64) - rows[None], axis=2)
        if metric == "cosine":
            exact /= np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
        for expression, allowed in ((None, np.arange(200)), (F("part") == 2, np.arange(2, 200, 4))):
            found = docs.query(asked, 10, filter=expression)
            assert len(found) == 7
            for scores, hits in zip(exact, found, strict=True):
                best = np.sort(scores[allowed])[::-1][:10]
                np.testing.assert_allclose([hit.score for hit in hits], best, rtol=1e-6, atol=1e-5)
                np.testing.assert_allclose(
                    [hit.score for hit in hits], scores[[int(hit.id) for hit in hits]], rtol=1e-6, atol=1e-5
                )
                assert len({hit.id for hit in hits}) == 10

    def test_k_above_the_count(self, docs: GuardedCollection) -> None:
        assert docs.query(unit_vectors(2), 5) == [[], []]
        assert docs.query(unit_vectors(0), 5) == []
        docs.upsert(text_batch(["a", "b", "c"], metadata=[{"x": 1}, {"x": 2}, {}]))
        assert len(docs.query(unit_vectors(1), 100)[0]) == 3
        assert [hit.id for hit in docs.query(unit_vectors(1), 100, filter=F("x") == 2)[0]] == ["b"]
        assert docs.query(unit_vectors(1), 100, filter=F("x") == 3) == [[]]

    def test_rows_among_which_others_were_replaced_are_all_found(self, docs: GuardedCollection) -> None:
        rng = np.random.default_rng(8)
        kept: dict[str, int] = {}
        for turn in range(40):
            ids = [str(n) for n in rng.choice(60, 12, replace=False)]
            docs.upsert(
                text_batch(ids, vectors=rng.normal(size=(12, DIM)).astype(np.float32), metadata=[{"x": turn}] * 12)
            )
            kept.update(dict.fromkeys(ids, turn))
        docs.delete(ids=["7", "8"])
        kept = {row_id: turn for row_id, turn in kept.items() if row_id not in ("7", "8")}
        for expression in (None, F("x") >= 30):
            expected = {row_id for row_id, turn in kept.items() if expression is None or turn >= 30}
            for hits in docs.query(rng.normal(size=(5, DIM)), 100, filter=expression):
                assert {hit.id for hit in hits} == expected
                assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_unusable_vectors_are_refused(self, docs: GuardedCollection) -> None:
        with pytest.raises(InputError, match="NaN"):
            docs.upsert(text_batch(["a"], vectors=np.full((1, DIM), np.nan, np.float32)))
        with pytest.raises(InputError, match=str(DIM)):
            docs.upsert(text_batch(["a"], vectors=np.ones((1, DIM + 1), np.float32)))
        for wrong in (np.ones((1, DIM - 1)), np.ones(DIM), np.full((1, DIM), np.inf)):
            with pytest.raises(InputError):
                docs.query(wrong, 1)
        for k in (0, -1, True, 1.5):
            with pytest.raises(InputError):
                docs.query(unit_vectors(1), k)  # type: ignore[arg-type]
        assert docs.count() == 0

    # Raw: the plugin by itself

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
    @pytest.mark.parametrize("k", [1, 10, 500])
    def test_raw_the_nearest_come_best_first(self, raw_store: VectorStore, metric: Any, k: int) -> None:
        if metric not in raw_store.caps.metrics:
            pytest.skip(f"declared: no metric {metric}")
        docs = raw_store.ensure(CollectionSpec(fresh_name(metric), DIM, metric))
        rows, asked = unit_vectors(120, seed=5), unit_vectors(7, seed=6)
        if metric != "cosine":
            rows, asked = 3 * rows, 2 * asked
        for start in range(0, 120, raw_store.caps.max_batch_rows):
            part = range(start, min(120, start + raw_store.caps.max_batch_rows))
            docs.upsert(
                text_batch([str(i) for i in part], vectors=rows[part], metadata=[{"part": i % 4} for i in part])
            )
        scores = asked.astype(np.float64) @ rows.T.astype(np.float64)
        if metric == "euclidean":
            scores = -np.linalg.norm(asked[:, None, :].astype(np.float64) - rows[None], axis=2)
        allowed: list[tuple[Filter | None, Any]] = [(None, np.arange(120))]
        if "==" in raw_store.caps.filter_ops:
            allowed.append((F("part") == 2, np.arange(2, 120, 4)))
        for expression, which in allowed:
            for asked_of in (slice(0, 7), slice(0, 1)):
                found = docs.query(asked[asked_of], k, filter=expression)
                assert len(found) == len(scores[asked_of])
                for expected, hits in zip(scores[asked_of], found, strict=True):
                    got = [hit.score for hit in hits]
                    np.testing.assert_allclose(got, np.sort(expected[which])[::-1][:k], rtol=1e-6, atol=1e-5)
                    np.testing.assert_allclose(got, expected[[int(hit.id) for hit in hits]], rtol=1e-6, atol=1e-5)
                    assert len({hit.id for hit in hits}) == len(hits)
                    assert {int(hit.id) for hit in hits} <= set(which.tolist())

    def test_raw_an_empty_collection_finds_nothing(self, raw_docs: Collection) -> None:
        assert raw_docs.query(unit_vectors(2), 5) == [[], []]
        assert raw_docs.count() == 0
        assert raw_docs.scan(limit=5) == Page([])

    def test_vectors_of_each_precision_come_back_and_are_ranked_by(self, store: GuardedStore) -> None:
        for precision in sorted(store.caps.precisions):
            keeping = Keeping(precision)
            docs = store.ensure(CollectionSpec(fresh_name(precision), DIM, "cosine", keeping.added_to("model")))
            given, asked = unit_vectors(40), unit_vectors(5, seed=1)
            ids = [str(i) for i in range(len(given))]
            docs.upsert(text_batch(ids, vectors=given))
            docs.flush()
            kept = given if keeping.full else rounded(given, keeping.base)
            stored = np.stack([dense_of(row) for row in docs.get(ids, with_vectors=True)])
            np.testing.assert_allclose(stored, kept, atol=1e-6)
            near = asked if keeping.full else rounded(asked, keeping.base)
            scores = near @ kept.T
            error = 2e-3 if precision == "float16" else 1e-5
            for some, found in ((docs.query(asked, 10), scores), (docs.query(asked[:1], 10), scores[:1])):
                for hits, expected in zip(some, found, strict=True):
                    got = [hit.score for hit in hits]
                    assert len({hit.id for hit in hits}) == len(hits) == 10
                    np.testing.assert_allclose(got, expected[[int(hit.id) for hit in hits]], atol=error)
                    if not precision.endswith("+full"):
                        np.testing.assert_allclose(got, np.sort(expected)[::-1][:10], atol=error)
            assert store.open(docs.info.name).info.keeping == keeping
            for other in sorted(store.caps.precisions - {precision})[:1]:
                with pytest.raises(CollectionMismatchError, match="keeps its vectors as"):
                    store.ensure(CollectionSpec(docs.info.name, DIM, "cosine", Keeping(other).added_to("model")))

    def test_what_a_store_has_not_is_refused_by_name(self, store: GuardedStore) -> None:
        lacking = [precision for precision in PRECISIONS if precision not in store.caps.precisions]
        for precision in lacking:
            with pytest.raises(StoreError, match=f"keeps no {re.escape(precision)} vectors; it keeps .*float32"):
                store.ensure(CollectionSpec(fresh_name("docs"), DIM, "cosine", Keeping(precision).added_to("")))
        for name in set(SETTINGS) - store.caps.index:
            with pytest.raises(StoreError, match=f"and not '{name}'"):
                store.ensure(
                    CollectionSpec(fresh_name("docs"), DIM, "cosine", Keeping(index=((name, 8),)).added_to(""))
                )
        for name in store.caps.index:
            spec = CollectionSpec(fresh_name("docs"), DIM, "cosine", Keeping(index=((name, 8),)).added_to(""))
            docs = store.ensure(spec)
            docs.upsert(text_batch(["a", "b"]))
            docs.flush()
            assert {hit.id for hit in docs.query(unit_vectors(1), 2)[0]} == {"a", "b"}
            assert store.open(spec.name).info.keeping.index == ((name, 8),)


def _ensure(store: GuardedStore, metric: Any) -> GuardedCollection:
    if metric not in store.caps.metrics:
        pytest.skip(f"declared: no metric {metric}")
    return store.ensure(CollectionSpec(fresh_name(metric), DIM, metric))
