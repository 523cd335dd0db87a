"""Names that lead to collections, so that what is asked by a name can be replaced as a whole.

They are kept in the store itself, as rows of one more collection: each store writes a row wholly or not at all, and so a name
leads to the one collection or to the other, whoever asks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from embedkit.errors import CollectionNotFoundError, InputError, StoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Record
from embedkit.records.metadata import content_hash
from embedkit.stores.contract import Collection, CollectionSpec, VectorStore

KEPT_IN = "embedkit_aliases"
"""The collection that keeps the aliases; its name is taken."""

_SPEC = CollectionSpec(KEPT_IN, 2)
_VECTOR = np.array([[1.0, 0.0]], np.float32)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Alias:
    """A ``name`` that leads to the ``collection``, and the collections that it led to before (``former``), the latest last."""

    name: str
    collection: str
    former: tuple[str, ...] = ()

    def led(self, collection: str) -> Alias:
        """The same name, led to another collection."""
        others = [each for each in (*self.former, self.collection) if each != collection]
        return replace(self, collection=collection, former=tuple(others))


class Aliases:
    """The aliases of one store, which are read anew each time: another process may have changed them."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def find(self, name: str) -> Alias | None:
        """What a name leads to; None where it is a collection's own, or nothing's. Raises `InputError` for the name that is taken."""
        if name == KEPT_IN:
            raise InputError(f"collection name: {KEPT_IN!r} keeps the aliases of the store; take another")
        kept = self._kept()
        return next(map(_alias, kept.get([_key(name)])), None) if kept else None

    def all(self) -> list[Alias]:
        """All aliases, by their names."""
        kept = self._kept()
        found: list[Alias] = []
        cursor = None
        while kept:
            page = kept.scan(cursor=cursor, limit=_PAGE)
            found += map(_alias, page.records)
            if (cursor := page.cursor) is None:
                break
        return sorted(found, key=lambda alias: alias.name)

    def put(self, alias: Alias) -> None:
        """Keep an alias, in the place of that of its name."""
        metadata = {"name": alias.name, "former": list(alias.former)}
        digest = content_hash(alias.collection, metadata)
        kept = self._store.ensure(_SPEC)
        result = kept.upsert(RecordBatch([_key(alias.name)], _VECTOR, [alias.collection], [metadata], [digest]))
        if result.failed:
            raise StoreError(f"the alias {alias.name!r} was refused: {result.failed[0].reason}; nothing was changed")
        kept.flush()

    def remove(self, name: str) -> None:
        """Let a name lead nowhere else; no error where it does not."""
        if kept := self._kept():
            kept.delete(ids=[_key(name)])
            kept.flush()

    def _kept(self) -> Collection | None:
        try:
            return self._store.open(KEPT_IN)
        except CollectionNotFoundError:
            return None


def _key(name: str) -> str:
    """An id that every store takes, for a name of any length."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _alias(row: Record) -> Alias:
    name, former = row.metadata["name"], row.metadata["former"]
    assert isinstance(name, str)
    assert isinstance(former, list)
    return Alias(name, row.text, tuple(map(str, former)))
