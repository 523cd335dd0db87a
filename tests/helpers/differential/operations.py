"""What is done with a collection, as values that can be printed, sent to another process, and left out one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from embedkit.records.documents import Record
from embedkit.records.filters import Filter
from embedkit.stores.guarded import GuardedCollection

from .rows import Row, Setting, batch_of, dense_of, several_of, sparse_of


@dataclass(frozen=True)
class Upsert:
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Delete:
    ids: tuple[str, ...]


@dataclass(frozen=True)
class DeleteWhere:
    filter: Filter


@dataclass(frozen=True)
class Get:
    ids: tuple[str, ...]
    with_vectors: bool


@dataclass(frozen=True)
class Hashes:
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Count:
    filter: Filter | None


@dataclass(frozen=True)
class Scan:
    """``changes`` are made one after another, each before the next page."""

    filter: Filter | None
    limit: int
    changes: tuple[Upsert | Delete | DeleteWhere, ...] = ()


@dataclass(frozen=True)
class Ask:
    """A search by vectors of a ``kind``, which follow from ``seeds``."""

    kind: str
    seeds: tuple[int, ...]
    k: int
    filter: Filter | None


@dataclass(frozen=True)
class Flush:
    pass


@dataclass(frozen=True)
class Reopen:
    """The store is closed and opened again."""


@dataclass(frozen=True)
class Elsewhere:
    """Done by another process; the store is closed here meanwhile, where only one process may have it open."""

    what: Step


Step: TypeAlias = Upsert | Delete | DeleteWhere | Get | Hashes | Count | Scan | Ask | Flush
Operation: TypeAlias = Step | Reopen | Elsewhere


@dataclass
class Pages:
    """The pages of a scan, and what each change that was made before the next one answered."""

    pages: list[list[Record]] = field(default_factory=list)
    changes: list[tuple[Any, Any]] = field(default_factory=list)


def perform(step: Step, docs: GuardedCollection, setting: Setting) -> Any:
    """What the collection answers."""
    if isinstance(step, Upsert):
        return docs.upsert(batch_of(step.rows, setting))
    if isinstance(step, Delete):
        return docs.delete(ids=step.ids)
    if isinstance(step, DeleteWhere):
        return docs.delete(filter=step.filter)
    if isinstance(step, Get):
        return docs.get(step.ids, with_vectors=step.with_vectors)
    if isinstance(step, Hashes):
        return docs.hashes(step.ids)
    if isinstance(step, Count):
        return docs.count(step.filter)
    if isinstance(step, Scan):
        return _scanned(step, docs, setting)
    if isinstance(step, Ask):
        return _asked(step, docs, setting)
    assert isinstance(step, Flush)
    return docs.flush()


def _scanned(step: Scan, docs: GuardedCollection, setting: Setting) -> Pages:
    found, cursor, changes = Pages(), None, list(step.changes)
    while True:
        page = docs.scan(filter=step.filter, cursor=cursor, limit=step.limit)
        assert len(page.records) <= step.limit
        found.pages.append(page.records)
        cursor = page.cursor
        if cursor is None:
            return found
        if changes:
            change = changes.pop(0)
            found.changes.append((change, perform(change, docs, setting)))


def _asked(step: Ask, docs: GuardedCollection, setting: Setting) -> Any:
    if step.kind == "d":
        return docs.query(dense_of(step.seeds, asked=True), step.k, filter=step.filter)
    if step.kind == "s":
        asked = sparse_of(step.seeds, negative=setting.negative, asked=True)
        return docs.query_sparse(asked, step.k, filter=step.filter)
    return docs.query_multivector(several_of(step.seeds, asked=True), step.k, filter=step.filter)
