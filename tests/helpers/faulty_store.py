"""A store of this process that notes what it is asked, and fails when told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from embedkit.errors import CollectionNotFoundError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit, Page, Record, WriteResult
from embedkit.stores.contract import Capabilities, CollectionInfo, CollectionSpec


class FaultyStore:
    """``fault`` is called with each batch before it is written and may raise."""

    def __init__(self) -> None:
        self.caps = Capabilities(max_batch_rows=1000)
        self.fault: Callable[[RecordBatch], None] = lambda batch: None
        self.batches: list[list[str]] = []
        self.removed: list[list[str]] = []
        self.collections: dict[str, FaultyCollection] = {}

    def ensure(self, spec: CollectionSpec) -> FaultyCollection:
        info = CollectionInfo(spec.name, spec.dim, spec.metric, spec.fingerprint)
        return self.collections.setdefault(spec.name, FaultyCollection(self, info))

    def open(self, name: str) -> FaultyCollection:
        if name not in self.collections:
            raise CollectionNotFoundError(f"no collection {name!r}")
        return self.collections[name]

    def names(self) -> list[str]:
        return sorted(self.collections)

    def drop(self, name: str) -> None:
        self.collections.pop(name, None)

    def close(self) -> None:
        pass

    @property
    def written(self) -> list[str]:
        """The ids of every accepted row, in the order in which they were written."""
        return [row_id for batch in self.batches for row_id in batch]

    @property
    def texts(self) -> dict[str, str]:
        return {row.id: row.text for held in self.collections.values() for row in held.rows.values()}


class FaultyCollection:
    def __init__(self, store: FaultyStore, info: CollectionInfo) -> None:
        self.store, self.info = store, info
        self.rows: dict[str, Record] = {}

    def upsert(self, batch: RecordBatch) -> WriteResult:
        self.store.fault(batch)
        rows = zip(batch.ids, batch.texts, batch.metadata, batch.hashes, batch.vectors, strict=True)
        self.rows.update({row[0]: Record(*row) for row in rows})
        self.store.batches.append(list(batch.ids))
        return WriteResult(len(batch))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        return [self.rows[row_id] for row_id in ids if row_id in self.rows]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        return {row_id: self.rows[row_id].hash for row_id in ids if row_id in self.rows}

    def delete(self, *, ids=None, filter=None):
        self.store.removed.append(list(ids))
        return sum(self.rows.pop(row_id, None) is not None for row_id in ids)

    def query(self, vectors, k, *, filter=None):
        return [
            sorted(
                (Hit(row.id, float(row.vector @ vector), row.text, row.metadata) for row in self.rows.values()),
                key=lambda hit: -hit.score,
            )[:k]
            for vector in vectors
        ]

    def scan(self, *, filter=None, cursor=None, limit=1000):
        return Page(list(self.rows.values()))

    def count(self, filter=None) -> int:
        return len(self.rows)

    def flush(self) -> None:
        pass
