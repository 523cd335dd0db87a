"""The conformance cases of sparse vectors and of several vectors a row, a part of `StoreTests`."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import numpy as np
import pytest

from ..errors import CollectionMismatchError, InputError, StoreError
from ..filters import F, Filter
from ..guard import GuardedCollection, GuardedStore
from ..multivectors import MultiVectors
from ..records import Hit, RecordBatch
from ..sparse import SparseVectors
from ..store import CollectionSpec, VectorStore

DIM, WORDS, TOKEN = 8, 30_522, 6
ROWS = 60


def batch(ids: list[str], *, kinds: str = "dsm", seed: int = 0, dim: int = DIM) -> RecordBatch:
    """Rows with vectors of the ``kinds`` d(ense), s(parse) and m(ultivector); row i has ``n`` = i, and one in five rows has no
    words."""
    rng = np.random.default_rng([seed, len(ids)])
    n = len(ids)
    dense = rng.normal(size=(n, dim)).astype(np.float32)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    rows = [
        (rng.choice(300, size, replace=False) * 101, rng.random(size) + 0.01)
        for size in (0 if i % 5 == 4 else int(rng.integers(1, 120)) for i in range(n))
    ]
    several = [rng.normal(size=(int(rng.integers(1, 7)), TOKEN)).astype(np.float32) for _ in range(n)]
    several = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in several]
    return RecordBatch(
        ids,
        dense if "d" in kinds else np.empty((n, 0), np.float32),
        [f"text {i}" for i in ids],
        [{"n": i} for i in range(n)],
        [f"hash {i} {seed}" for i in ids],
        sparse=SparseVectors.of_rows(rows, WORDS) if "s" in kinds else None,
        multivectors=MultiVectors.of(several, TOKEN) if "m" in kinds else None,
    )


def spec(kinds: str) -> CollectionSpec:
    """A new collection of these kinds."""
    return CollectionSpec(
        f"kinds {uuid.uuid4().hex}",
        DIM if "d" in kinds else 0,
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
                with pytest.raises(StoreError, match="keeps no"):
                    store.ensure(wanted)
                assert wanted.name not in store.names()

    @pytest.mark.parametrize("expression", [None, F("n") < 20, ~(F("n") == 3) & (F("n") >= 1), F("n").is_in([])])
    @pytest.mark.parametrize("k", [1, 7, ROWS])
    def test_the_nearest_are_those_of_a_comparison_with_all(
        self, store: GuardedStore, expression: Filter | None, k: int
    ) -> None:
        kinds = self.kinds(store)
        docs, rows = self.filled(store, kinds)
        asked = batch(["a", "b", "c", "d"], kinds="dsm", seed=9)
        kept = [i for i, row in enumerate(rows.metadata) if expression is None or expression.matches(row)]
        if rows.sparse is not None and asked.sparse is not None:
            found = docs.query_sparse(asked.sparse, k, filter=expression)
            _agree(found, asked.sparse.dot(rows.sparse), rows, kept, k, nothing=0.0)
        if rows.multivectors is not None and asked.multivectors is not None:
            found = docs.query_multivector(asked.multivectors, k, filter=expression)
            _agree(found, asked.multivectors.maxsim(rows.multivectors), rows, kept, k)
        found = docs.query(asked.vectors, k, filter=expression)
        _agree(found, asked.vectors @ rows.vectors.T, rows, kept, k)

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
                store.close()
                store.inner, store._closed = connect(), False
                assert store.open(name).info == info
                assert store.open(name).count() == ROWS

    def test_upsert_replaces_and_delete_removes(self, store: GuardedStore) -> None:
        kinds = self.kinds(store)
        docs, rows = self.filled(store, kinds)
        docs.upsert(batch([f"row {i}" for i in range(30)], kinds=kinds, seed=5))
        docs.delete(ids=[f"row {i}" for i in range(30, 50)])
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
        with pytest.raises(InputError):
            docs.query_sparse(SparseVectors.of(np.ones((1, 5))), 3)
        with pytest.raises(InputError):
            docs.query_multivector(MultiVectors.of([np.ones((2, TOKEN + 1))]), 3)
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
        other = CollectionSpec(docs.info.name, DIM, fingerprint="f")
        with pytest.raises(CollectionMismatchError, match="sparse" if "s" in kinds else "multivector"):
            store.ensure(other)
        plain = store.ensure(CollectionSpec(f"plain {uuid.uuid4().hex}", DIM))
        with pytest.raises(InputError):
            plain.upsert(batch(["x"], kinds=kinds))
        with pytest.raises(InputError):
            plain.query_sparse(SparseVectors.of(np.ones((1, WORDS))), 3)


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
