"""What is the same for every store, done once above the plugins.

`GuardedStore` and `GuardedCollection` have the methods of the contract and add: validation with expected and actual values,
unit length under cosine, the last of several rows with one id, splitting by the store's limits, a lock where it is not
thread-safe, filters that it cannot answer finished here, and refusal of another model's vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.checks import boolean, check_id, items_of, positive
from embedkit.errors import FilterError, InputError, StoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.coercion import MetadataMode, check_mode
from embedkit.records.documents import Hit, Page, Record, RowError, WriteResult
from embedkit.records.filters import Filter, depth, push_down_not, simplified
from embedkit.system.renames import renamed
from embedkit.vectors.arrays import FloatArray, unit_length
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.ragged import numbers
from embedkit.vectors.sparse import SparseVectors

from .contract import (
    Capabilities,
    Collection,
    CollectionInfo,
    CollectionSpec,
    IfExists,
    MultiVectorCollection,
    SparseCollection,
    StoreURL,
    VectorStore,
)
from .fingerprint import bundle_of, require_same
from .plugins import keeping
from .post_filter import MOST_HITS, Ask, NoRows, PostFiltered, answers, filled, pages, pushed_down
from .row_checks import unusable_rows, unusable_weights

MOST_LEVELS = 100
"""Most levels of a filter; Python and the databases' parsers go down them by recursion."""


class GuardedStore:
    """What `embedkit.open_store` returns: a `VectorStore` and context manager whose collections check what they get."""

    def __init__(self, inner: VectorStore, address: StoreURL | None = None) -> None:
        self.inner, self.address = inner, address
        caps = inner.caps
        self._lock: AbstractContextManager[object] = nullcontext() if caps.thread_safe else threading.RLock()
        self._closed = False

    @property
    def caps(self) -> Capabilities:
        """What this store can do."""
        return self.inner.caps

    @renamed(metadata="metadata_policy")
    def ensure(
        self, spec: CollectionSpec, *, if_exists: IfExists = "validate", metadata_policy: MetadataMode = "strict"
    ) -> GuardedCollection:
        """Open or create the collection.

        ``if_exists``: ``validate`` raises `CollectionMismatchError` where an existing one has another dimension,
        metric or fingerprint; ``replace`` drops it first; ``error`` refuses any existing one. ``metadata_policy`` says what is
        done with values that cannot be kept as they are: see `embedkit.records.coercion.converted`.
        """
        check_mode(metadata_policy)
        if not isinstance(spec, CollectionSpec):
            raise InputError(f"spec: expected a CollectionSpec, found {type(spec).__name__}")
        if if_exists not in ("validate", "replace", "error"):
            raise InputError(f"if_exists: expected 'validate', 'replace' or 'error', found {if_exists!r}")
        self.require_able(spec)
        with self._lock:
            if if_exists == "error" and spec.name in self.inner.names():
                raise StoreError(f"collection {spec.name!r} exists already; drop it, or pass if_exists='validate'")
            if if_exists == "replace":
                self.inner.drop(spec.name)
            found = self.inner.ensure(spec)
        for field in ("dim", "metric", "fingerprint", "sparse", "multivector"):
            require_same(spec.name, field, getattr(found.info, field), getattr(spec, field))
        return GuardedCollection(found, self.caps, self._lock, metadata_policy)

    def require_able(self, spec: CollectionSpec) -> None:
        """Raise `StoreError` where this store cannot keep such a collection: its metric, its sizes, its kinds of vectors."""
        caps = self.caps
        if spec.metric not in caps.metrics:
            raise StoreError(
                f"collection {spec.name!r}: this store has no metric {spec.metric!r}; it has {sorted(caps.metrics)}"
            )
        if max(spec.dim, spec.multivector) > caps.max_dim:
            raise StoreError(
                f"collection {spec.name!r}: this store holds at most {caps.max_dim} dimensions, found "
                f"{max(spec.dim, spec.multivector)}"
            )
        if spec.sparse and not caps.sparse:
            raise StoreError(_cannot_keep(spec.name, "sparse", "sparse vectors"))
        if spec.multivector and not caps.multivector:
            raise StoreError(_cannot_keep(spec.name, "multivector", "several vectors a row"))

    @renamed(metadata="metadata_policy")
    def open(self, name: str, *, metadata_policy: MetadataMode = "strict") -> GuardedCollection:
        """Open an existing collection; raises `CollectionNotFoundError`. ``metadata_policy`` is as in `ensure`."""
        check_mode(metadata_policy)
        check_id(name, "collection name")
        with self._lock:
            return GuardedCollection(self.inner.open(name), self.caps, self._lock, metadata_policy)

    def names(self) -> list[str]:
        """The collections' names, sorted."""
        with self._lock:
            return self.inner.names()

    def drop(self, name: str) -> None:
        """Delete a collection and its rows; no error where there is none."""
        with self._lock:
            self.inner.drop(check_id(name, "collection name"))

    def close(self) -> None:
        """Release the connection; closing twice is no error."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.inner.close()

    def __enter__(self) -> GuardedStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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

        Raises `InputError` for vectors of another dimension; a row that cannot be kept otherwise (`embedkit.stores.row_checks`) is
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
        if self._cosine:
            vectors = unit_length(vectors)
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
        if self._cosine:
            asked = unit_length(asked)
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


def _cannot_keep(name: str, kind: str, words: str) -> str:
    others = ", ".join(keeping(kind)) or "no installed one"
    return (
        f"collection {name!r}: this store keeps no {words}; {others} could, and an ingest with outputs=['dense'] (--outputs dense) "
        "leaves them out"
    )
