"""A collection of any store as it is used: checked, split by the store's limits, its filters finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.checks import boolean, check_id, items_of, positive
from embedkit.errors import FilterError, InputError, StoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.coercion import MetadataMode
from embedkit.records.documents import Hit, Page, Record, RowError, WriteResult
from embedkit.records.filters import Filter, depth, push_down_not, simplified
from embedkit.stores.contract import Capabilities, Collection, CollectionInfo, MultiVectorCollection, SparseCollection
from embedkit.stores.fingerprint import bundle_of, require_same
from embedkit.stores.keeping import rounded
from embedkit.vectors.arrays import FloatArray, unit_length
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.ragged import numbers
from embedkit.vectors.sparse import SparseVectors

from .post_filter import MOST_HITS, Ask, NoRows, PostFiltered, answers, filled, pages, pushed_down
from .row_checks import unusable_rows, unusable_weights

MOST_LEVELS = 100
"""Most levels of a filter; Python and the databases' parsers go down them by recursion."""


class GuardedCollection:
    """A `Collection` that checks what it is given and splits what is too large for the store."""

    def __init__(
        self,
        inner: Collection,
        caps: Capabilities,
        lock: AbstractContextManager[object],
        metadata: MetadataMode = "strict",
    ) -> None:
        self.inner, self.caps, self.metadata, self._lock = inner, caps, metadata, lock

    @property
    def info(self) -> CollectionInfo:
        """What the collection was made for."""
        return self.inner.info

    def require_fingerprint(self, fingerprint: str) -> None:
        """Raise `CollectionMismatchError` unless vectors of this fingerprint belong here."""
        require_same(self.info.name, "fingerprint", bundle_of(self.info.fingerprint), fingerprint)

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows; of several rows with one id the last counts (and ``written`` counts it once).

        Raises `InputError` for vectors of another dimension; a row that cannot be kept otherwise (`embedkit.stores.guarding.row_checks`) is
        returned in ``failed`` while all others are written.
        """
        if not isinstance(batch, RecordBatch):
            raise InputError(f"batch: expected a RecordBatch, found {type(batch).__name__}")
        vectors = self._vectors(batch.vectors, "RecordBatch.vectors")
        self._column("sparse", batch.sparse, self.info.sparse)
        self._column("multivectors", batch.multivectors, self.info.multivector)
        kept, dumped, unusable = unusable_rows(batch, self.metadata, self.info, self.caps)
        failed = [RowError(batch.ids[i], reason) for i, reason in unusable.items()]
        keep = {row_id: i for i, row_id in enumerate(batch.ids) if i not in unusable}
        vectors = self._as_kept(vectors)
        batch = RecordBatch(
            batch.ids, vectors, batch.texts, kept, batch.hashes, dumped, batch.sparse, batch.multivectors
        )
        if len(keep) < len(batch):
            batch = batch.take(sorted(keep.values()))
        written = 0
        for part in batch.split(self.caps.max_batch_rows, self.caps.max_batch_bytes):
            if len(part):
                with self._lock:
                    result = self.inner.upsert(part)
                written += result.written
                failed.extend(result.failed)
        return WriteResult(written, tuple(failed))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``, in the order of ``ids``, each once; `InputError` for what can be no id, `StoreError`
        where the store has lost a vector that is asked for."""
        found, lost = self._stored(ids, boolean("with_vectors", with_vectors))
        if lost:
            raise StoreError(
                f"collection {self.info.name!r}: its index has lost the vectors of {len(lost)} rows, such as {lost[0]!r}; write them "
                "again with  embedkit check --repair"
            )
        return found

    def whole(self, ids: Sequence[str]) -> tuple[list[Record], list[str]]:
        """The rows that exist among ``ids`` with their vectors, and the ids of those whose vectors the store has lost."""
        return self._stored(ids, True)

    def _stored(self, ids: Sequence[str], with_vectors: bool) -> tuple[list[Record], list[str]]:
        found: dict[str, Record] = {}
        parts = self._parts(ids)
        for part in parts:
            with self._lock:
                found.update((record.id, record) for record in self.inner.get(part, with_vectors=with_vectors))
        rows = [found[row_id] for part in parts for row_id in part if row_id in found]
        if not with_vectors or not self.info.dim:
            return rows, []
        return [row for row in rows if row.vector is not None], [row.id for row in rows if row.vector is None]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        found: dict[str, str] = {}
        for part in self._parts(ids):
            with self._lock:
                found.update(self.inner.hashes(part))
        return found

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int | None:
        """Delete by ids or by filter; the number deleted where the store knows it, else None."""
        if (ids is None) == (filter is None):
            raise InputError("delete takes either ids or a filter")
        if filter is not None:
            checked = self._filter(filter)
            if isinstance(checked, Filter):
                with self._lock:
                    return self.inner.delete(filter=checked)
            with self._lock:
                ids = (PostFiltered(self.inner, filter, None) if checked is None else checked).ids()
        assert ids is not None
        total: int | None = 0
        for part in self._parts(ids):
            with self._lock:
                deleted = self.inner.delete(ids=part)
            total = None if total is None or deleted is None else total + deleted
        return total

    def query(self, vectors: npt.ArrayLike, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows of each (n, dim) vector, best first, equal scores by id; a higher score is nearer."""
        positive("k", k)
        if not self.info.dim:
            raise InputError(f"collection {self.info.name!r} keeps no dense vectors; search it by those that it keeps")
        asked = self._vectors(numbers(vectors, np.float32, "query vectors"), "query vectors")
        if not np.isfinite(asked).all():
            raise InputError("query vectors hold NaN or infinity")
        asked = self._as_kept(asked)
        if not len(asked):
            return []
        return self._nearest(self.inner.query, asked, k, filter)

    def query_sparse(self, vectors: SparseVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest dot product with each sparse vector, best first, equal scores by id; none whose
        product is 0. Raises `InputError` where the collection keeps no sparse vectors."""
        positive("k", k)
        if not isinstance(vectors, SparseVectors):
            raise InputError(f"query vectors: expected SparseVectors, found {type(vectors).__name__}")
        if not self.info.sparse or not isinstance(self.inner, SparseCollection):
            raise InputError(f"collection {self.info.name!r} keeps no sparse vectors; search it by those that it keeps")
        self._column("query vectors", vectors, self.info.sparse)
        reason = next(iter(unusable_weights(vectors, self.caps).values()), "")
        if reason:
            raise InputError(f"query vectors: {reason}")
        ask = self.inner.query_sparse

        def other_than_zero(vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
            # Weights may cancel out: a store that counts such a row among its best ones has a better one than it gave.
            return filled(ask, vectors, k, filter=filter, first=k, keep=lambda hit: hit.score != 0)

        return self._nearest(other_than_zero, vectors, k, filter)

    def query_multivector(self, vectors: MultiVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest MaxSim (`embedkit.MultiVectors.maxsim`) for each text's vectors, best first, equal
        scores by id. Raises `InputError` where the collection keeps no such vectors, and for a text that has none."""
        positive("k", k)
        if not isinstance(vectors, MultiVectors):
            raise InputError(f"query vectors: expected MultiVectors, found {type(vectors).__name__}")
        if not self.info.multivector or not isinstance(self.inner, MultiVectorCollection):
            raise InputError(
                f"collection {self.info.name!r} does not keep several vectors a row; search it by those that it keeps"
            )
        self._column("query vectors", vectors, self.info.multivector)
        if (np.diff(vectors.offsets) == 0).any():
            raise InputError("query vectors: a text has no vectors to search with")
        return self._nearest(self.inner.query_multivector, vectors, k, filter)

    @property
    def _cosine(self) -> bool:
        return self.info.metric == "cosine" and self.info.dim > 0

    def _as_kept(self, vectors: FloatArray) -> FloatArray:
        """Vectors of unit length under cosine, and rounded where no full ones are kept."""
        vectors = unit_length(vectors) if self._cosine else vectors
        keeping = self.info.keeping
        return vectors if keeping.full else rounded(vectors, keeping.base)

    def _nearest(self, ask: Ask, vectors: Any, k: int, filter: Filter | None) -> list[list[Hit]]:
        checked = self._filter(filter)
        k = min(k, MOST_HITS)
        with self._lock:
            if isinstance(checked, PostFiltered | NoRows):
                found = checked.query(ask, vectors, k)
            else:
                found = ask(vectors, k, filter=checked) if len(vectors) else []
        return [sorted(hits, key=lambda hit: (-hit.score, hit.id)) for hits in found]

    def _column(self, what: str, given: SparseVectors | MultiVectors | None, size: int) -> None:
        """`InputError` where a column beside the dense vectors is not as the collection keeps it."""
        found = 0 if given is None else given.dim
        if found != size:
            raise InputError(
                f"{what}: collection {self.info.name!r} takes {f'vectors of {size} numbers' if size else 'none'}, found "
                f"{f'vectors of {found}' if found else 'none'}"
            )

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next ``limit`` rows (without vectors) after ``cursor``; fewer, though not the last, where embedkit finishes
        the filter; ``cursor`` is a page's, None for the first. Rows may be written and deleted meanwhile: no other is left out."""
        positive("limit", limit)
        if cursor is not None:
            check_id(cursor, "cursor")
        limit = min(limit, MOST_HITS)
        checked = self._filter(filter)
        with self._lock:
            if isinstance(checked, PostFiltered | NoRows):
                return checked.scan(cursor, limit)
            return self.inner.scan(filter=checked, cursor=cursor, limit=limit)

    def pages(self, filter: Filter | None = None, *, size: int = 1000) -> Iterator[list[Record]]:
        """All rows that satisfy ``filter`` (without vectors), each once, at most ``size`` at a time; a page is read when it
        is wanted."""
        positive("size", size)
        return pages(lambda cursor: self.scan(filter=filter, cursor=cursor, limit=size))

    def records(self, filter: Filter | None = None, *, size: int = 1000) -> Iterator[Record]:
        """All rows that satisfy ``filter`` (without vectors), each once; ``size`` of them are read at a time."""
        return chain.from_iterable(self.pages(filter, size=size))

    def count(self, filter: Filter | None = None) -> int:
        """The exact number of rows that satisfy ``filter``."""
        checked = self._filter(filter)
        with self._lock:
            return checked.count() if isinstance(checked, PostFiltered | NoRows) else self.inner.count(checked)

    def flush(self) -> None:
        """Return when everything written is as durable and as searchable as the store makes it."""
        with self._lock:
            self.inner.flush()

    def _parts(self, ids: Sequence[str]) -> list[list[str]]:
        distinct = list(dict.fromkeys(check_id(row_id, "ids") for row_id in items_of("ids", ids, ordered=False)))
        size = self.caps.max_batch_rows
        return [distinct[start : start + size] for start in range(0, len(distinct), size)]

    def _vectors(self, vectors: FloatArray, what: str) -> FloatArray:
        if vectors.ndim != 2 or vectors.shape[1] != self.info.dim:
            raise InputError(
                f"{what}: collection {self.info.name!r} takes shape (n, {self.info.dim}), found {vectors.shape}"
            )
        return vectors

    def _filter(self, expression: Filter | None) -> Filter | PostFiltered | NoRows | None:
        """The filter as the store can answer it, or what finishes it; None holds everywhere."""
        if expression is None:
            return None
        if not isinstance(expression, Filter):
            raise FilterError(
                f"filter: expected an embedkit filter such as F('year') >= 2020, found {type(expression).__name__}"
            )
        if (levels := depth(expression)) > MOST_LEVELS:
            raise FilterError(
                f"filter: nested {levels:,} levels deep, at most {MOST_LEVELS} are taken; combine more of it at one level, and join "
                "values with is_in"
            )
        whole = simplified(expression)
        if isinstance(whole, bool):
            return None if whole else NoRows()
        expression = whole if "not" in self.caps.filter_ops else push_down_not(whole)
        if answers(self.caps, expression):
            return expression
        return PostFiltered(self.inner, expression, pushed_down(self.caps, expression))
