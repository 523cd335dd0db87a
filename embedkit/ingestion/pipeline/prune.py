"""Deleting from a collection what its source no longer has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from embedkit.errors import InputError
from embedkit.ingestion.chunking.places import place_of
from embedkit.ingestion.rows.ledger import Ledger
from embedkit.records.documents import Record
from embedkit.records.filters import Filter
from embedkit.stores.guarded import GuardedCollection

_PAGE = 1000
_AT_ONCE = 100_000


class Known(Protocol):
    """What is known of a source that was read to its end: its ids, and how many bad rows have none."""

    ledger: Ledger
    nameless: int


def check_prunable(reading: Known) -> None:
    """Raise `InputError` where the source says too little to delete by it: it is empty, or has bad rows without an id,
    any of which may be a row of the collection."""
    if not len(reading.ledger):
        raise InputError(
            "the source has no usable row, so nothing was deleted: correct the source, or drop the collection if it shall be empty"
        )
    if reading.nameless:
        raise InputError(
            f"{reading.nameless:,} rows of the source have no id that can be read, so nothing was deleted: correct them (the file of "
            "dead letters has each), and sync again"
        )


def prune(collection: GuardedCollection, reading: Known, filter: Filter | None) -> int:
    """Delete the rows that `gone` names; how many. Afterwards a scan finds none."""
    deleted = 0
    while True:
        ids = [row.id for row, _ in zip(gone(collection, reading, filter), range(_AT_ONCE), strict=False)]
        if not ids:
            return deleted
        collection.delete(ids=ids)
        deleted += len(ids)


def gone(collection: GuardedCollection, reading: Known, filter: Filter | None) -> Iterator[Record]:
    """The rows of the collection that satisfy ``filter`` and that a source, which was read to its end, does not have."""
    return (row for row, digest in compared(collection, reading, filter) if digest is None)


def compared(
    collection: GuardedCollection, reading: Known, filter: Filter | None
) -> Iterator[tuple[Record, str | None]]:
    """Each row of the collection that satisfies ``filter``, with the hash that it has in the source, or None. A row of the
    source that cannot be used stands for the row of its id, and for all chunks of it, as they are."""
    for page in collection.pages(filter, size=_PAGE):
        known = reading.ledger.hashes([row.id for row in page])
        lost = [row for row in page if row.id not in known]
        sources = {row.id: source_of(row) for row in lost}
        spared = reading.ledger.spared([*sources, *sources.values()])
        known |= {row.id: row.hash for row in lost if row.id in spared or sources[row.id] in spared}
        yield from ((row, known.get(row.id)) for row in page)


def source_of(row: Record) -> str:
    """The id of the document that a row was made of."""
    place = place_of(row.id, row.metadata)
    return place.source if place else row.id
