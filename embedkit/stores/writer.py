"""Writing to a store that may be overloaded, cut off, or refuse a row: tried again, and one bad row set apart."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from embedkit.errors import (
    CollectionMismatchError,
    CollectionNotFoundError,
    FilterError,
    StoreError,
    TransientStoreError,
)
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit, Record, RowError, WriteResult
from embedkit.vectors.arrays import FloatArray

from .guarded import GuardedCollection

T = TypeVar("T")

_NOT_A_ROW = (CollectionNotFoundError, CollectionMismatchError, FilterError)
_SAMPLE = 16
_WORTH_TELLING = 1.0
_log = logging.getLogger("embedkit")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a `TransientStoreError` is tried again.

    The wait before attempt n + 1 is random between half and all of ``first_wait * 2**(n - 1)`` seconds, at most
    ``longest_wait`` (exponential backoff with jitter), and no less than what the store asks for (Retry-After); a store
    that asks for more than ``longest_wait`` ends the attempts.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 60.0

    def wait(self, attempt: int, asked: float | None) -> float | None:
        """Seconds to wait after failed attempt number ``attempt`` (from 1); None: give up."""
        if attempt >= self.attempts or (asked or 0.0) > self.longest_wait:
            return None
        backoff = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        return max(backoff * random.uniform(0.5, 1.0), asked or 0.0)


@dataclass(slots=True)
class Writer:
    """Writes batches to one collection. Setting ``stopping`` ends a wait between attempts at once."""

    collection: GuardedCollection
    retry: Retry = field(default_factory=Retry)
    stopping: threading.Event = field(default_factory=threading.Event)
    _accepted: RecordBatch | None = None

    def write(self, batch: RecordBatch) -> WriteResult:
        """Upsert the batch; a row that the store refuses is in ``failed``, all others are written.

        A refused batch is halved until the bad rows stand alone. They count as bad only while the store still accepts
        another row; where it accepts none, the trouble is the store's, and its `StoreError` is raised.
        """
        result = self._write(batch, batch)
        if result.written + len(result.failed) != len(batch):
            raise StoreError(
                f"collection {self.collection.info.name!r}: {len(batch)} rows were sent, {result.written} acknowledged "
                f"and {len(result.failed)} refused; the store plugin lost count: report it to its author"
            )
        return result

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``; tried again like a write."""
        return self._persist(lambda: self.collection.hashes(ids), self.retry)

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The rows that exist among ``ids``, without vectors; tried again like a write."""
        return self._persist(lambda: self.collection.get(ids), self.retry)

    def nearest(self, vectors: FloatArray) -> list[Hit | None]:
        """The row that is nearest to each of (n, dim) dense vectors, None where there is none; tried again like a write."""
        found = self._persist(lambda: self.collection.query(vectors, 1), self.retry)
        return [hits[0] if hits else None for hits in found]

    def whole(self, ids: Sequence[str]) -> list[Record]:
        """The rows that exist among ``ids`` with their vectors, without those that the store has lost; tried again like a write."""
        return self._persist(lambda: self.collection.whole(ids), self.retry)[0]

    def delete(self, ids: Sequence[str]) -> None:
        """Delete rows; tried again like a write."""
        self._persist(lambda: self.collection.delete(ids=ids), self.retry)

    def flush(self) -> None:
        """Return when everything written is as durable as the store makes it; tried again like a write."""
        self._persist(self.collection.flush, self.retry)

    def _write(self, part: RecordBatch, whole: RecordBatch) -> WriteResult:
        alone = len(part) == 1
        retry = self.retry if alone or part is whole else Retry(attempts=1)
        try:
            result = self._persist(lambda: self.collection.upsert(part), retry)
        except _NOT_A_ROW:
            raise
        except StoreError as error:
            in_doubt = alone or isinstance(error, TransientStoreError)
            if self.stopping.is_set() or (in_doubt and not self._store_works(whole)):
                raise
            reason = str(error)
        else:
            self._remember(part, result)
            return result
        if alone:
            return WriteResult(0, (RowError(part.ids[0], reason),))
        middle = len(part) // 2
        halves = [self._write(part.take(rows), whole) for rows in (range(middle), range(middle, len(part)))]
        return WriteResult(sum(half.written for half in halves), halves[0].failed + halves[1].failed)

    def _store_works(self, batch: RecordBatch) -> bool:
        """Whether the store takes a row that it took before; where there is none yet, any of some rows of ``batch``."""
        step = -(-len(batch) // _SAMPLE)
        rows = [self._accepted] if self._accepted else [batch.take([i]) for i in range(0, len(batch), step)]
        for row in rows:
            try:
                self._remember(row, self.collection.upsert(row))
            except TransientStoreError:
                return False
            except StoreError:
                continue
            return True
        return False

    def _remember(self, batch: RecordBatch, result: WriteResult) -> None:
        if result.written:
            failed = {row.id for row in result.failed}
            self._accepted = batch.take([next(i for i, row_id in enumerate(batch.ids) if row_id not in failed)])

    def _persist(self, action: Callable[[], T], retry: Retry) -> T:
        attempt = 1
        while True:
            try:
                return action()
            except TransientStoreError as error:
                wait = retry.wait(attempt, error.retry_after)
                if wait is not None and wait >= _WORTH_TELLING:
                    _log.warning("%s (attempt %d of %d; the next in %.0f s)", error, attempt, retry.attempts, wait)
                if wait is None or self.stopping.wait(wait):
                    raise
            attempt += 1
