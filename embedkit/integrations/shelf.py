"""A collection of a store as a framework's document store needs it: there or not yet, rows in and out by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from embedkit.checks import check_id
from embedkit.errors import CollectionNotFoundError, StoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.coercion import MetadataMode, check_mode, converted
from embedkit.records.documents import Hit, Record
from embedkit.records.filters import Filter
from embedkit.records.metadata import content_hash
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import open_store
from embedkit.vectors.arrays import FloatArray


class Shelf:
    """A collection that is made when the first row is written; what reads before finds nothing. A store that was named by its
    URL is opened here, and closed by `close`."""

    def __init__(self, store: GuardedStore | str, collection: str, *, metadata_policy: MetadataMode = "coerce") -> None:
        check_id(collection, "collection")
        check_mode(metadata_policy)
        self._owned = isinstance(store, str)
        self.store = open_store(store) if isinstance(store, str) else store
        self.url = store if isinstance(store, str) else None
        self.collection, self.metadata_policy = collection, metadata_policy
        self._rows: GuardedCollection | None = None

    @property
    def rows(self) -> GuardedCollection | None:
        """The collection, where it is there."""
        if self._rows is None:
            with suppress(CollectionNotFoundError):
                self._rows = self.store.open(self.collection, metadata_policy=self.metadata_policy)
        return self._rows

    def made(self, spec: CollectionSpec) -> GuardedCollection:
        """The collection, which is made if it is not there; `CollectionMismatchError` where it is of another model."""
        self._rows = self.store.ensure(spec, metadata_policy=self.metadata_policy)
        return self._rows

    def write(
        self,
        rows: GuardedCollection,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[Mapping[str, Any]],
        columns: Mapping[str, Any],
    ) -> None:
        """Write rows, of several with one id the last; ``columns`` are their vectors as `RecordBatch` takes them. Raises
        `StoreError` that names the first row that cannot be kept, after the others were written."""
        kept = [converted(about, self.metadata_policy) for about in metadata]
        hashes = [content_hash(text, about) for text, about in zip(texts, kept, strict=True)]
        result = rows.upsert(RecordBatch(ids=ids, texts=texts, metadata=kept, hashes=hashes, **columns))
        if result.failed:
            first = result.failed[0]
            raise StoreError(
                f"collection {self.collection!r}: {len(result.failed)} of {len(ids)} rows were not written: {first.id!r}: {first.reason}"
            )
        rows.flush()

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``, in their order."""
        return [] if self.rows is None else self.rows.get(ids, with_vectors=with_vectors)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete those that are there."""
        if self.rows is not None and ids:
            self.rows.delete(ids=ids)
            self.rows.flush()

    def drop(self) -> None:
        """Delete the collection."""
        self.store.drop(self.collection)
        self._rows = None

    def nearest(self, vectors: FloatArray, k: int, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows of each (n, dim) vector."""
        return [[] for _ in vectors] if self.rows is None else self.rows.query(vectors, k, filter=filter)

    def close(self) -> None:
        """Close the store, if it was opened here."""
        if self._owned:
            self.store.close()
