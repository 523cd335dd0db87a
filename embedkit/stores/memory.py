"""A store in this process's memory: ``memory:NAME``. Exact, with no dependency, and what the other stores are compared
with.

All that open one name share its rows, which end with the process. For trials, tests and collections that are made anew
each time; a search reads every row.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from embedkit.errors import CollectionNotFoundError, StoreURLError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit, Page, Record, WriteResult
from embedkit.records.filters import Filter
from embedkit.records.metadata import dump_metadata, filterable, load_metadata
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.similarity import similarity
from embedkit.vectors.sparse import SparseVectors

from .contract import METRICS, Capabilities, CollectionInfo, CollectionSpec, Footprint, StoreURL

CAPABILITIES = {
    "memory:NAME": Capabilities(
        max_batch_rows=10_000,
        multi_process=False,
        metrics=METRICS,
        sparse=True,
        multivector=True,
        indexed=False,
        precisions=frozenset({"float32", "float16", "int8", "binary"}),
    )
}

_stores: dict[str, dict[str, _Rows]] = {}
_opening = threading.Lock()


def open_store(url: StoreURL) -> MemoryStore:
    """The store of that name in this process, which is made if it is not there."""
    if url.transport or url.host:
        raise StoreURLError(f"store URL {url.text!r}: expected memory:NAME; it has no server and no folder")
    with _opening:
        return MemoryStore(_stores.setdefault(url.path, {}))


@dataclass
class _Rows:
    """The rows of one collection, sorted by id when they are next read after a write."""

    info: CollectionInfo
    lock: threading.RLock = field(default_factory=threading.RLock)
    by_id: dict[str, Record] = field(default_factory=dict)
    dropped: bool = False
    _sorted: tuple[list[Record], FloatArray] | None = None

    def changed(self) -> None:
        self._sorted = None

    def sorted(self) -> tuple[list[Record], FloatArray]:
        """The records in the order of their ids, and their vectors (n, dim)."""
        if self._sorted is None:
            records = sorted(self.by_id.values(), key=lambda record: record.id)
            vectors = np.empty((len(records), self.info.dim), np.float32)
            for row, record in enumerate(records):
                vectors[row] = record.vector
            self._sorted = records, vectors
        return self._sorted


class MemoryStore:
    """A `embedkit.stores.contract.VectorStore` over the collections of one name."""

    caps = CAPABILITIES["memory:NAME"]

    def __init__(self, collections: dict[str, _Rows]) -> None:
        self._collections = collections

    def ensure(self, spec: CollectionSpec) -> MemoryCollection:
        """Open the collection, or create it."""
        info = CollectionInfo.of(spec)
        return MemoryCollection(self._collections.setdefault(spec.name, _Rows(info)))

    def open(self, name: str) -> MemoryCollection:
        """Open the collection."""
        found = self._collections.get(name)
        if found is None:
            raise CollectionNotFoundError(f"no collection {name!r}")
        return MemoryCollection(found)

    def names(self) -> list[str]:
        """The collections' names."""
        return sorted(self._collections)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        found = self._collections.pop(name, None)
        if found is not None:
            found.dropped = True

    def close(self) -> None:
        """The rows stay for whoever opens this name next."""


class MemoryCollection:
    """A `embedkit.stores.contract.Collection` over rows in memory."""

    def __init__(self, rows: _Rows) -> None:
        self.info = rows.info
        self._kept = rows

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows."""
        kept = map(load_metadata, batch.metadata_json())
        nothing = [None] * len(batch)
        sparse = nothing if batch.sparse is None else [batch.sparse[i : i + 1] for i in range(len(batch))]
        multi = nothing if batch.multivectors is None else [vectors.copy() for vectors in batch.multivectors]
        columns = zip(batch.ids, batch.texts, kept, batch.hashes, batch.vectors.copy(), sparse, multi, strict=True)
        records = {row[0]: Record(*row) for row in columns}
        rows = self._rows()
        with rows.lock:
            rows.by_id.update(records)
            rows.changed()
        return WriteResult(len(batch))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        by_id = self._rows().by_id
        found = [by_id[row_id] for row_id in ids if row_id in by_id]
        return [_copied(record, with_vector=with_vectors) for record in found]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        by_id = self._rows().by_id
        return {row_id: by_id[row_id].hash for row_id in ids if row_id in by_id}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number deleted."""
        rows = self._rows()
        with rows.lock:
            which = [record.id for _, record in self._matching(filter)] if ids is None else ids
            deleted = sum(rows.by_id.pop(row_id, None) is not None for row_id in which)
            rows.changed()
        return deleted

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows; of equally near ones those with the smaller ids."""
        with self._rows().lock:
            _, kept = self._rows().sorted()
            found = self._matching(filter)
        rows = np.fromiter((row for row, _ in found), np.intp)
        fn = "euclidean" if self.info.metric == "euclidean" else "dot"
        scores = similarity(vectors, kept if filter is None else kept[rows], fn=fn)
        return _best(scores, [record for _, record in found], k)

    def query_sparse(self, vectors: SparseVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest dot products other than 0."""
        with self._rows().lock:
            records = [record for _, record in self._matching(filter)]
        if not records:
            return [[] for _ in range(len(vectors))]
        scores = vectors.dot(SparseVectors.concatenate([record.sparse for record in records if record.sparse]))
        return _best(np.where(scores == 0, -np.inf, scores), records, k)

    def query_multivector(self, vectors: MultiVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest MaxSim."""
        with self._rows().lock:
            records = [record for _, record in self._matching(filter)]
        kept = MultiVectors.of((r.multivector for r in records if r.multivector is not None), self.info.multivector)
        return _best(vectors.maxsim(kept), records, k)

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their ids; the cursor is the last id."""
        with self._rows().lock:
            found = [record for _, record in self._matching(filter) if cursor is None or record.id > cursor]
        page = [_copied(record) for record in found[:limit]]
        return Page(page, page[-1].id if len(found) > limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        with self._rows().lock:
            return len(self._matching(filter))

    def measured(self) -> Footprint:
        """The bytes of the vectors and texts; all rows are compared."""
        records, vectors = self._rows().sorted()
        return Footprint(
            vectors.nbytes + sum(len(record.text.encode()) for record in records), "none: all rows are compared"
        )

    def flush(self) -> None:
        """There is nothing to wait for."""

    def _rows(self) -> _Rows:
        if self._kept.dropped:
            raise CollectionNotFoundError(f"the collection {self.info.name!r} was dropped; make it again")
        return self._kept

    def _matching(self, filter: Filter | None) -> list[tuple[int, Record]]:
        records, _ = self._rows().sorted()
        return [
            (row, record)
            for row, record in enumerate(records)
            if filter is None or filter.matches(filterable(record.metadata))
        ]


def _best(scores: FloatArray, records: list[Record], k: int) -> list[list[Hit]]:
    """Of each row of scores the ``k`` highest that are finite; of equal ones the first."""
    out = []
    for found in scores:
        best = [(records[i], float(found[i])) for i in np.argsort(-found, kind="stable")[:k] if np.isfinite(found[i])]
        out.append([Hit(row.id, score, row.text, _copied(row).metadata) for row, score in best])
    return out


def _copied(record: Record, *, with_vector: bool = False) -> Record:
    """What a caller may change without changing the store."""
    metadata = load_metadata(dump_metadata(record.metadata))
    if not with_vector:
        return replace(record, metadata=metadata, vector=None, sparse=None, multivector=None)
    vector = record.vector.copy() if record.vector is not None and record.vector.size else None
    several = record.multivector.copy() if record.multivector is not None else None
    return replace(record, metadata=metadata, vector=vector, multivector=several)
