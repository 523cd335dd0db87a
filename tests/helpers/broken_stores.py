"""Stores in memory with one fault each, as databases have them: what a fuzzer that is worth its time finds."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit, Page, Record, WriteResult
from embedkit.records.filters import Combine, Compare, Filter, Not
from embedkit.records.metadata import filterable
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.memory import MemoryCollection, MemoryStore


class BrokenStore(MemoryStore):
    """A store whose collections are of a class with a fault."""

    kind: type[MemoryCollection] = MemoryCollection

    def ensure(self, spec: CollectionSpec) -> MemoryCollection:
        return self._faulty(super().ensure(spec))

    def open(self, name: str) -> MemoryCollection:
        return self._faulty(super().open(name))

    def _faulty(self, found: MemoryCollection) -> MemoryCollection:
        found.__class__ = self.kind
        return found


class Matching(MemoryCollection):
    """A collection that answers a filter with what ``kept`` leaves of the rows that match."""

    def _matching(self, filter: Filter | None) -> list[tuple[int, Record]]:
        return self.kept(super()._matching(filter), filter)

    def kept(self, found: list[tuple[int, Record]], filter: Filter | None) -> list[tuple[int, Record]]:
        return found


class LosesARowOfAFilter(Matching):
    def kept(self, found: list[tuple[int, Record]], filter: Filter | None) -> list[tuple[int, Record]]:
        return found if filter is None else found[:-1]


class LosesARowOfManyMatches(Matching):
    def kept(self, found: list[tuple[int, Record]], filter: Filter | None) -> list[tuple[int, Record]]:
        return found if filter is None or len(found) < 9 else found[1:]


def values_seen_as(change: Callable[[Any], Any]) -> type[MemoryCollection]:
    """Filters compare values that were changed so, of the rows and of the question; what comes back is right."""

    class Seen(MemoryCollection):
        def _matching(self, filter: Filter | None) -> list[tuple[int, Record]]:
            rows = super()._matching(None)
            if filter is None:
                return rows
            other = _with_values(filter, change)
            return [
                (row, record)
                for row, record in rows
                if other.matches({key: change(value) for key, value in filterable(record.metadata).items()})
            ]

    return Seen


def values_kept_as(change: Callable[[Any], Any]) -> type[MemoryCollection]:
    """The values of metadata come back changed."""

    class Kept(MemoryCollection):
        def upsert(self, batch: RecordBatch) -> WriteResult:
            return super().upsert(_with(batch, metadata=[_each(row, change) for row in batch.metadata]))

    return Kept


def texts_kept_as(change: Callable[[str], str]) -> type[MemoryCollection]:
    """The texts come back changed."""

    class Kept(MemoryCollection):
        def upsert(self, batch: RecordBatch) -> WriteResult:
            return super().upsert(_with(batch, texts=[change(text) for text in batch.texts]))

    return Kept


def ids_kept_as(change: Callable[[str], str]) -> type[MemoryCollection]:
    """Two ids that are the same when changed are one row's, of which the last is kept."""

    class Kept(MemoryCollection):
        def upsert(self, batch: RecordBatch) -> WriteResult:
            written = super().upsert(batch)
            seen: dict[str, str] = {}
            for row_id in batch.ids:
                same = [i for i in self._rows().by_id if change(i) == change(row_id) and i != row_id]
                seen.update(dict.fromkeys(same, row_id))
            super().delete(ids=list(seen.keys() - set(seen.values())))
            return written

    return Kept


def operators_answered_as(change: Callable[[Compare], Filter]) -> type[MemoryCollection]:
    """Comparisons are taken for others."""

    class Other(MemoryCollection):
        def _matching(self, filter: Filter | None) -> list[tuple[int, Record]]:
            return super()._matching(None if filter is None else _with_leaves(filter, change))

    return Other


class LosesADelete(MemoryCollection):
    def delete(self, *, ids: Any = None, filter: Filter | None = None) -> int:
        if ids is None or len(ids) < 2:
            return super().delete(ids=ids, filter=filter)
        there = set(ids[:1]) & {*self._rows().by_id}
        return super().delete(ids=ids[1:]) + len(there)


class LosesADeleteByFilter(MemoryCollection):
    def delete(self, *, ids: Any = None, filter: Filter | None = None) -> int:
        if filter is None:
            return super().delete(ids=ids)
        found = [record.id for _, record in self._matching(filter)]
        super().delete(ids=found[1:])
        return len(found)


class DeletesOneMore(MemoryCollection):
    def delete(self, *, ids: Any = None, filter: Filter | None = None) -> int:
        deleted = super().delete(ids=ids, filter=filter)
        if filter is not None and deleted:
            super().delete(ids=sorted(self._rows().by_id)[:1])
        return deleted


class MiscountsDeletes(MemoryCollection):
    def delete(self, *, ids: Any = None, filter: Filter | None = None) -> int:
        deleted = super().delete(ids=ids, filter=filter)
        return deleted if ids is None else len(ids)


def hits_answered_as(change: Callable[[list[Hit], int], list[Hit]]) -> type[MemoryCollection]:
    """The hits for a vector are changed."""

    class Other(MemoryCollection):
        def query(self, vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
            return [change(hits, k) for hits in super().query(vectors, k, filter=filter)]

        def query_sparse(self, vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
            return [change(hits, k) for hits in super().query_sparse(vectors, k, filter=filter)]

        def query_multivector(self, vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
            return [change(hits, k) for hits in super().query_multivector(vectors, k, filter=filter)]

    return Other


class FiltersWhatItFound(MemoryCollection):
    """Compares the nearest k only with the filter."""

    def query(self, vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        fit = {record.id for _, record in self._matching(filter)}
        return [[hit for hit in hits if hit.id in fit] for hits in super().query(vectors, k)]


class AnswersTheFirstQuestionTwice(MemoryCollection):
    def query(self, vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        return [found for _ in vectors for found in super(type(self), self).query(vectors[:1], k, filter=filter)]


class LosesNegativeScores(MemoryCollection):
    def query_sparse(self, vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        return [[hit for hit in hits if hit.score > 0] for hits in super().query_sparse(vectors, k, filter=filter)]


class LosesTheLastToken(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        if batch.multivectors is None:
            return super().upsert(batch)
        fewer = [tokens[: max(1, len(tokens) - 1)] for tokens in batch.multivectors]
        return super().upsert(_with(batch, multivectors=type(batch.multivectors).of(fewer, self.info.multivector)))


class RoundsVectors(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        return super().upsert(_with(batch, vectors=batch.vectors.astype(np.float16).astype(np.float32)))


class MergesMetadata(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        there = {record.id: record.metadata for record in super().get(batch.ids)}
        merged = [there.get(i, {}) | dict(row) for i, row in zip(batch.ids, batch.metadata, strict=True)]
        return super().upsert(_with(batch, metadata=merged))


class KeepsTheOldText(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        there = {record.id: record.text for record in super().get(batch.ids)}
        return super().upsert(
            _with(batch, texts=[text or there.get(i, text) for i, text in zip(batch.ids, batch.texts, strict=True)])
        )


class KeepsTheOldHash(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        there = super().hashes(batch.ids)
        return super().upsert(
            _with(batch, hashes=[there.get(i, new) for i, new in zip(batch.ids, batch.hashes, strict=True)])
        )


class KeepsTheOldVector(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        there = {record.id: record.vector for record in super().get(batch.ids, with_vectors=True)}
        old = [there.get(i) for i in batch.ids]
        vectors = [new if kept is None else kept for kept, new in zip(old, batch.vectors, strict=True)]
        return super().upsert(_with(batch, vectors=np.asarray(vectors, np.float32).reshape(batch.vectors.shape)))


class LosesTheLastOfABatch(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        super().upsert(batch.take(range(len(batch) - (len(batch) > 20))))
        return WriteResult(len(batch))


class IgnoresRowsThatAreThere(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        there = super().hashes(batch.ids)
        super().upsert(batch.take([i for i, row_id in enumerate(batch.ids) if row_id not in there]))
        return WriteResult(len(batch))


class ScansByOffset(MemoryCollection):
    """A page begins after as many rows as came, so that a row that is deleted meanwhile hides another."""

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        before = int(cursor or 0)
        found = super().scan(filter=filter, limit=1_000_000).records
        page = found[before : before + limit]
        return Page(page, str(before + limit) if before + limit < len(found) else None)


class RepeatsTheRowOfTheCursor(MemoryCollection):
    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        page = super().scan(filter=filter, cursor=cursor, limit=limit)
        return page if cursor is None or limit < 2 else Page([*page.records[:-1], *self.get([cursor])], page.cursor)


class ForgetsTheFilterAfterTheFirstPage(MemoryCollection):
    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        return super().scan(filter=filter if cursor is None else None, cursor=cursor, limit=limit)


class EndsAFullPage(MemoryCollection):
    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        page = super().scan(filter=filter, cursor=cursor, limit=limit)
        return Page(page.records) if cursor is not None else page


class CountsWhatWasThere(MemoryCollection):
    def upsert(self, batch: RecordBatch) -> WriteResult:
        self._kept.__dict__["before"] = super().count()
        return super().upsert(batch)

    def count(self, filter: Filter | None = None) -> int:
        return super().count(filter) if filter is not None else self._kept.__dict__.pop("before", super().count())


class LosesWhatWasNotFlushed(MemoryCollection):
    """Opened again, the last write of two rows or more is lost unless a flush came after it."""

    def upsert(self, batch: RecordBatch) -> WriteResult:
        self._kept.__dict__["unwritten"] = (self, batch.ids[:1])
        return super().upsert(batch)

    def count(self, filter: Filter | None = None) -> int:
        self._lose()
        return super().count(filter)

    def get(self, ids: Any, *, with_vectors: bool = False) -> list[Record]:
        self._lose()
        return super().get(ids, with_vectors=with_vectors)

    def flush(self) -> None:
        self._kept.__dict__.pop("unwritten", None)

    def _lose(self) -> None:
        by, ids = self._kept.__dict__.get("unwritten", (self, []))
        if by is not self:
            super().delete(ids=ids)
            self.flush()


def _with(batch: RecordBatch, **changed: Any) -> RecordBatch:
    kept = {
        "ids": batch.ids,
        "vectors": batch.vectors,
        "texts": batch.texts,
        "metadata": batch.metadata,
        "hashes": batch.hashes,
        "sparse": batch.sparse,
        "multivectors": batch.multivectors,
    }
    return RecordBatch(**(kept | changed))


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    return change(value)


def _with_leaves(filter: Filter, change: Callable[[Compare], Filter]) -> Filter:
    if isinstance(filter, Not):
        return Not(_with_leaves(filter.part, change))
    if isinstance(filter, Combine):
        return Combine(filter.op, tuple(_with_leaves(part, change) for part in filter.parts))
    assert isinstance(filter, Compare)
    return change(filter)


def _with_values(filter: Filter, change: Callable[[Any], Any]) -> Filter:
    def changed(leaf: Compare) -> Compare:
        value = leaf.value
        return replace(leaf, value=tuple(map(change, value)) if isinstance(value, tuple) else change(value))

    return _with_leaves(filter, changed)


def double(value: Any) -> Any:
    """An integer as float64 keeps it."""
    return int(float(value)) if type(value) is int and abs(value) < 2**63 else value


def _of_numbers(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: change(value) if type(value) in (int, float) else value


def _of_texts(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: change(value) if isinstance(value, str) else value


_SWAPPED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}

FAULTS: dict[str, type[MemoryCollection]] = {
    "a row of a filter is lost": LosesARowOfAFilter,
    "a row of many that match is lost": LosesARowOfManyMatches,
    "a delete is lost": LosesADelete,
    "a delete by filter is lost": LosesADeleteByFilter,
    "one more is deleted": DeletesOneMore,
    "deleted rows are counted that were not there": MiscountsDeletes,
    "one hit fewer than k": hits_answered_as(lambda hits, k: hits[: k - 1]),
    "no more than 9 hits": hits_answered_as(lambda hits, k: hits[:9]),
    "scores are of the wrong sign": hits_answered_as(lambda hits, k: [replace(hit, score=-hit.score) for hit in hits]),
    "scores are squared": hits_answered_as(lambda hits, k: [replace(hit, score=hit.score**2) for hit in hits]),
    "a hit has another's text": hits_answered_as(lambda hits, k: [replace(hit, text=hits[0].text) for hit in hits]),
    "a hit has no metadata": hits_answered_as(lambda hits, k: [replace(hit, metadata={}) for hit in hits]),
    "the nearest is missing": hits_answered_as(lambda hits, k: hits[1:] if len(hits) < k else hits),
    "filters are applied to what was found": FiltersWhatItFound,
    "one answer for every question": AnswersTheFirstQuestionTwice,
    "sparse hits below 0 are lost": LosesNegativeScores,
    "a token is lost": LosesTheLastToken,
    "vectors are rounded": RoundsVectors,
    "metadata is merged": MergesMetadata,
    "an empty text keeps the old one": KeepsTheOldText,
    "the hash is the first one": KeepsTheOldHash,
    "the vector is the first one": KeepsTheOldVector,
    "the last row of a large batch is lost": LosesTheLastOfABatch,
    "rows that are there are not replaced": IgnoresRowsThatAreThere,
    "pages are counted off": ScansByOffset,
    "the row of the cursor comes again": RepeatsTheRowOfTheCursor,
    "the second page has no filter": ForgetsTheFilterAfterTheFirstPage,
    "the second page is the last": EndsAFullPage,
    "a count is from before the write": CountsWhatWasThere,
    "what was not flushed is lost": LosesWhatWasNotFlushed,
    "integers are rounded": values_kept_as(double),
    "integers become floats": values_kept_as(lambda value: float(value) if type(value) is int else value),
    "whole floats become integers": values_kept_as(
        _of_numbers(lambda v: int(v) if v == v and abs(v) < 9 and v == int(v) else v)
    ),
    "-0.0 becomes 0.0": values_kept_as(lambda value: 0.0 if type(value) is float and value == 0 else value),
    "NaN becomes None": values_kept_as(lambda value: None if isinstance(value, float) and value != value else value),
    "True becomes 1": values_kept_as(lambda value: int(value) if isinstance(value, bool) else value),
    "times become text": values_kept_as(lambda value: value.isoformat() if isinstance(value, date) else value),
    "zones are lost": values_kept_as(lambda v: v.replace(tzinfo=None) if getattr(v, "tzinfo", None) else v),
    "microseconds are lost": values_kept_as(lambda v: v.replace(microsecond=0) if hasattr(v, "microsecond") else v),
    "empty lists are lost": values_kept_as(lambda value: None if isinstance(value, list) and not value else value),
    "NUL is lost in metadata": values_kept_as(_of_texts(lambda text: text.replace("\0", ""))),
    "NUL is lost in texts": texts_kept_as(lambda text: text.replace("\0", "")),
    "texts are normalised": texts_kept_as(lambda text: unicodedata.normalize("NFC", text)),
    "texts are stripped": texts_kept_as(str.strip),
    "line ends are translated": texts_kept_as(lambda text: text.replace("\r\n", "\n")),
    "texts are cut off": texts_kept_as(lambda text: text.encode()[:65_535].decode(errors="ignore")),
    "ids are normalised": ids_kept_as(lambda row_id: unicodedata.normalize("NFC", row_id)),
    "ids are compared without case": ids_kept_as(str.lower),
    "ids are stripped": ids_kept_as(str.strip),
    "integers are compared as floats": values_seen_as(double),
    "floats are compared as float32": values_seen_as(
        lambda v: float(np.float32(v)) if type(v) is float and abs(v) < 1e38 else v
    ),
    "texts are compared without case": values_seen_as(_of_texts(str.lower)),
    "texts are compared normalised": values_seen_as(_of_texts(lambda text: unicodedata.normalize("NFC", text))),
    "texts are compared up to 255 characters": values_seen_as(_of_texts(lambda text: text[:255])),
    "texts are compared in UTF-16's order": values_seen_as(
        _of_texts(lambda text: "".join(map(chr, np.frombuffer(text.encode("utf-16-be"), ">u2").tolist())))
    ),
    "True is 1": values_seen_as(lambda value: int(value) if isinstance(value, bool) else value),
    "bounds are taken for open ones": operators_answered_as(
        lambda leaf: replace(leaf, op=_SWAPPED[leaf.op]) if leaf.op in _SWAPPED else leaf  # type: ignore[arg-type]
    ),
    "!= needs the field": operators_answered_as(
        lambda leaf: Combine("and", (leaf, Compare(leaf.field, "exists", None))) if leaf.op == "!=" else leaf
    ),
    "not in needs the field": operators_answered_as(
        lambda leaf: Combine("and", (leaf, Compare(leaf.field, "exists", None))) if leaf.op == "not in" else leaf
    ),
    "an absent field is none": operators_answered_as(
        lambda leaf: Combine("or", (leaf, Not(Compare(leaf.field, "exists", None)))) if leaf.op == "none" else leaf
    ),
    "a none is absent": operators_answered_as(
        lambda leaf: Combine("and", (leaf, Not(Compare(leaf.field, "none", None)))) if leaf.op == "exists" else leaf
    ),
    "texts are compared as numbers": values_seen_as(
        lambda value: (
            float(value)
            if isinstance(value, str) and value.replace(".", "", 1).isascii() and value.replace(".", "", 1).isdigit()
            else value
        )
    ),
    "only the first value of a list counts": operators_answered_as(
        lambda leaf: replace(leaf, value=leaf.value[:1]) if isinstance(leaf.value, tuple) else leaf
    ),
}
