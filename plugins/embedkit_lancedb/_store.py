"""The store over a LanceDB folder.

A collection is a table, whose schema keeps what the collection was made for. Each write is a version and a fragment of
its own, so fragments are merged now and then, and versions that nobody reads any more are removed. The id is declared
as key, and merged without its index: else two that write one new id at the same time would both insert it. A search compares all
vectors until a flush gives a large collection an index, which then compares those of the nearest partitions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import BTree, IvfFlat, IvfRq, IvfSq, LabelList
from lancedb.query import ColumnOrdering

from embedkit.stores import (
    INDEXED_FROM,
    CollectionInfo,
    CollectionNotFoundError,
    CollectionSpec,
    Filter,
    FloatArray,
    Footprint,
    Hit,
    MultiVectors,
    Page,
    Record,
    RecordBatch,
    StoreError,
    WriteResult,
    folder_bytes,
    load_metadata,
    packed,
    safe_name,
    unpacked,
)

from . import CAPABILITIES, FOLDER
from ._errors import translated
from ._where import columns, quoted, where

INDEX_FROM_ROWS = 10_000
"""Rows from which a flush makes indexes of the ids, of what can be filtered on, and of the vectors."""

_INFO = b"embedkit"
_KEY = {"lance-schema:unenforced-primary-key": "true"}
_READ_FOR = timedelta(seconds=30)
"""How long a version stays for those who read it."""
_FRAGMENTS, _SHARE = 32, 4
_PROBES, _ROWS_A_PROBE = 20, 16_384
"""Partitions that a search looks into, at least; they have about 4,096 rows, so that the index of a collection of less than
80,000 rows loses nothing, and of a large one a quarter is compared."""
_PARTS = 4
"""Parts of a vector index, one for what came with each flush, from which it is made anew: each is searched."""
_TOGETHER = 32
_CANDIDATES = {"int8+full": 4, "binary+full": 20}
"""How many times as many rows as are wanted are found by rounded vectors, and ranked by full ones."""
_LEAN = ["id", "text", "metadata", "hash"]


class LancedbStore:
    """A `embedkit.stores.contract.VectorStore` over a folder."""

    caps = CAPABILITIES[FOLDER]

    def __init__(self, path: str) -> None:
        self._path = path
        with translated(f"opening the folder {path!r}"):
            self._connection: Any = lancedb.connect(path, read_consistency_interval=timedelta(0))

    def ensure(self, spec: CollectionSpec) -> LancedbCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        info = CollectionInfo.of(spec)
        with translated(f"creating the collection {spec.name!r}"):
            self.require_open().create_table(
                safe_name(spec.name), schema=_schema(info, {_INFO: json.dumps(asdict(info)).encode()}), exist_ok=True
            )
        return self.open(spec.name)

    def open(self, name: str) -> LancedbCollection:
        """Open the collection, which embedkit must have made."""
        key = safe_name(name)
        with translated(f"opening the collection {name!r}"):
            try:
                table = self.require_open().open_table(key)
            except ValueError as error:
                if "not found" not in str(error):
                    raise
                raise CollectionNotFoundError(f"no collection {name!r}") from None
        info = _info(table)
        if info is None:
            raise StoreError(f"the table {key!r} was not made by embedkit; choose another name than {name!r}")
        return LancedbCollection(self, table, info)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        found = []
        with translated("listing the collections"):
            for key in self._keys():
                with suppress(ValueError):  # dropped meanwhile, or not wholly made
                    found.append(_info(self.require_open().open_table(key)))
        return sorted(info.name for info in found if info)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        with translated(f"dropping the collection {name!r}"):
            self.require_open().drop_table(safe_name(name), ignore_missing=True)

    def close(self) -> None:
        """A folder needs no release; what is used later says that it was closed."""
        self._connection = None

    def folder_of(self, name: str) -> Path:
        """The folder of a collection's table."""
        return Path(self._path, f"{safe_name(name)}.lance")

    def require_open(self) -> Any:
        """The connection, unless it was closed."""
        if self._connection is None:
            raise StoreError(f"the store in {self._path!r} was closed; open it again")
        return self._connection

    def _keys(self) -> Iterator[str]:
        after: str | None = None
        while True:
            answer = self.require_open().list_tables(page_token=after, limit=1000)
            yield from answer.tables
            after = answer.page_token
            if not after:
                return


class LancedbCollection:
    """A `embedkit.stores.contract.Collection` over a table."""

    def __init__(self, store: LancedbStore, table: Any, info: CollectionInfo) -> None:
        self.info = info
        self._store, self._opened = store, table
        self._keeping = info.keeping
        self._bits = self._keeping.precision == "binary"
        self._distance: Literal["l2", "dot", "hamming"] = "l2" if info.metric == "euclidean" else "dot"
        if self._bits:
            self._distance = "hamming"
        self._least = INDEXED_FROM if self._keeping.wants_index else INDEX_FROM_ROWS
        self._vectors = [*(["vector"] if info.dim else []), *(["several"] if info.multivector else [])]
        self._unmerged = self._unmerged_rows = 0
        self._merging = threading.Lock()

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows, all in one commit."""
        filterable = [columns(metadata) for metadata in batch.metadata]
        rows = {
            "id": list(batch.ids),
            "text": list(batch.texts),
            "metadata": list(batch.metadata_json()),
            "hash": list(batch.hashes),
            **{name: [row[name] for row in filterable] for name in ("terms", "names", "numbers", "texts")},
        }
        if self.info.dim:
            few = batch.vectors if self._keeping.full else packed(batch.vectors, self._keeping.base)
            rows["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(few.ravel()), few.shape[1])
        if batch.multivectors is not None:
            several = pa.FixedSizeListArray.from_arrays(
                pa.array(batch.multivectors.values.ravel()), self.info.multivector
            )
            rows["several"] = pa.ListArray.from_arrays(pa.array(batch.multivectors.offsets, pa.int32()), several)
        with translated(f"writing {len(batch)} rows to {self.info.name!r}"):
            merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.use_index(False).execute(pa.table(rows, schema=_schema(self.info)))
        self._merge_fragments(len(batch))
        return WriteResult(len(batch))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        if not ids:
            return []
        with translated(f"reading from {self.info.name!r}"):
            found = self._table.search().where(_among(ids)).select([*_LEAN, *(self._vectors if with_vectors else [])])
            return _records(found.to_arrow(), self.info)

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        if not ids:
            return {}
        with translated(f"reading hashes from {self.info.name!r}"):
            found = self._table.search().where(_among(ids)).select(["id", "hash"]).to_arrow()
        return dict(zip(found["id"].to_pylist(), found["hash"].to_pylist(), strict=True))

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number deleted."""
        if ids is not None and not ids:
            return 0
        with translated(f"deleting from {self.info.name!r}"):
            return int(self._table.delete(_among(ids or []) if filter is None else where(filter)).num_deleted_rows)

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows by LanceDB's distance: 1 - the inner product, or the square of the euclidean one.

        Where the index has fewer than ``k`` rows in the partitions that it looks into, all rows are compared instead.
        """
        with translated(f"searching {self.info.name!r}"):
            rows = self._table.count_rows()
            wanted = min(k, rows)
            most = self._keeping.setting("probes", max(_PROBES, rows // _ROWS_A_PROBE))
            probes = None if rows < self._least else most
            out: list[list[Hit]] = []
            for start in range(0, len(vectors) if rows else 0, _TOGETHER):
                part = vectors[start : start + _TOGETHER]
                found = self._nearest(part, wanted, filter, probes)
                short = [i for i, hits in enumerate(found) if probes and len(hits) < wanted]
                if short:
                    whole = self._nearest(part[short], wanted, filter, None)
                    found = [whole[short.index(i)] if i in short else hits for i, hits in enumerate(found)]
                out.extend(found)
        return out or [[] for _ in vectors]

    def query_multivector(self, vectors: MultiVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest MaxSim, which LanceDB gives as the number of the question's vectors minus it; all
        rows are compared."""
        out = []
        with translated(f"searching {self.info.name!r}"):
            wanted = min(k, self._table.count_rows())
            for several in vectors if wanted else ():
                asked = self._table.search(several, vector_column_name="several").distance_type("dot")
                asked = asked.select([*_LEAN, "_distance"]).limit(wanted)
                if filter is not None:
                    asked = asked.where(where(filter), prefilter=True)
                found = asked.to_arrow()
                rows = zip(*(found[name].to_pylist() for name in ("id", "text", "metadata", "_distance")), strict=True)
                out.append([Hit(i, len(several) - far, text, load_metadata(kept)) for i, text, kept, far in rows])
        return out or [[] for _ in range(len(vectors))]

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their ids, by code point; the cursor is the last id."""
        conditions = [where(filter)] if filter is not None else []
        conditions += [f"id > {quoted(cursor)}"] if cursor is not None else []
        with translated(f"reading from {self.info.name!r}"):
            found = self._table.search().select(_LEAN).order_by([ColumnOrdering(column_name="id")]).limit(limit)
            if conditions:
                found = found.where(" AND ".join(conditions))
            records = _records(found.to_arrow(), self.info)
        return Page(records, records[-1].id if len(records) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        with translated(f"counting {self.info.name!r}"):
            return int(self._table.count_rows(None if filter is None else where(filter)))

    def measured(self) -> Footprint:
        """The bytes of the table's folder, older versions that are still kept included."""
        with translated(f"measuring {self.info.name!r}"):
            kinds = [index.index_type for index in self._table.list_indices() if index.columns == ["vector"]]
        size = folder_bytes(self._store.folder_of(self.info.name))
        return Footprint(size, kinds[0] if kinds else "none yet: all rows are compared")

    def flush(self) -> None:
        """Merge fragments, remove old versions, and give a large collection its indexes, or what is new to them."""
        with self._merging, translated(f"merging and indexing {self.info.name!r}"):
            _retried(
                self._optimize
            )  # first, for an index of fragments that are then merged is written again, row by row
            _retried(self._make_indexes)

    @property
    def _table(self) -> Any:
        self._store.require_open()
        return self._opened

    def _make_indexes(self) -> None:
        if self._table.count_rows() < self._least:
            return
        have = {index.columns[0]: self._table.index_stats(index.name) for index in self._table.list_indices()}
        kinds: list[tuple[str, Any]] = [("id", BTree()), ("terms", LabelList())]
        kinds += [("vector", self._vector_index())] if self.info.dim else []
        for column, kind in kinds:
            if column not in have or (column == "vector" and have[column].num_indices > _PARTS):
                self._table.create_index(column, config=kind, replace=True)

    def _vector_index(self) -> Any:
        lists = dict(self._keeping.index).get("lists")
        kind = {"int8+full": IvfSq, "binary+full": IvfRq}.get(self._keeping.precision, IvfFlat)
        return kind(self._distance, num_partitions=lists)

    def _optimize(self) -> None:
        """Merge fragments, and bring what is new into the indexes. That of the terms, of which a row has one for each field and value, is
        dropped where fragments are merged, and made anew by a flush: to follow the rows to their new places it would take minutes,
        where making it takes a second."""
        fragments = self._table.stats()["fragment_stats"]
        if fragments["num_fragments"] > 1 and fragments["num_small_fragments"]:
            for index in self._table.list_indices():
                if index.columns == ["terms"]:
                    self._table.drop_index(index.name)
        self._table.optimize(cleanup_older_than=_READ_FOR)
        self._unmerged = self._unmerged_rows = 0

    def _merge_fragments(self, rows: int) -> None:
        """Merge them where they have become many, and a quarter of all rows: that rewrites a row a few times in all."""
        self._unmerged += 1
        self._unmerged_rows += rows
        if self._unmerged >= _FRAGMENTS and self._unmerged_rows * _SHARE >= self._table.count_rows():
            with suppress(StoreError), self._merging, translated(f"merging {self.info.name!r}"):
                _retried(self._optimize)

    def _nearest(self, vectors: FloatArray, k: int, filter: Filter | None, probes: int | None) -> list[list[Hit]]:
        asked = packed(vectors, "binary") if self._bits else vectors
        search = self._table.search(list(asked), vector_column_name="vector")
        search = search.distance_type(self._distance).limit(k)
        search = search.nprobes(probes) if probes else search.bypass_vector_index()
        if self._keeping.precision in _CANDIDATES:
            search = search.refine_factor(_CANDIDATES[self._keeping.precision])
        if filter is not None:
            search = search.where(where(filter), prefilter=True)
        found = search.select(["id", "text", "metadata", "_distance"]).to_arrow()
        far = found["_distance"].to_numpy()
        scores = -np.sqrt(far) if self._distance == "l2" else 1.0 - far
        if self._bits:  # of dim bits so many differ
            scores = 1.0 - 2.0 * far / self.info.dim
        of = found["query_index"].to_pylist() if len(vectors) > 1 else [0] * len(far)
        out: list[list[Hit]] = [[] for _ in vectors]
        rows = zip(of, found["id"].to_pylist(), scores.tolist(), found["text"].to_pylist(), strict=True)
        for (query, row_id, score, text), metadata in zip(rows, found["metadata"].to_pylist(), strict=True):
            out[query].append(Hit(row_id, score, text, load_metadata(metadata)))
        return out


def _retried(act: Callable[[], None], attempts: int = 5) -> None:
    """Do what another process may have come in between of, again where it has."""
    try:
        act()
    except RuntimeError as error:
        if "conflict" not in str(error) or attempts == 1:
            raise
        _retried(act, attempts - 1)


def _schema(info: CollectionInfo, metadata: dict[bytes, bytes] | None = None) -> pa.Schema:
    kinds = {"float16": (pa.float16(), info.dim), "binary": (pa.uint8(), -(-info.dim // 8))}
    vectors = (
        [pa.field("vector", pa.list_(*kinds.get(info.keeping.precision, (pa.float32(), info.dim))))] if info.dim else []
    )
    if info.multivector:
        vectors.append(pa.field("several", pa.list_(pa.list_(pa.float32(), info.multivector))))
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=_KEY),
            *(pa.field(name, pa.string()) for name in ("text", "metadata", "hash")),
            *(pa.field(name, pa.list_(pa.string())) for name in ("terms", "names", "texts")),
            pa.field("numbers", pa.list_(pa.float64())),
            *vectors,
        ],
        metadata=metadata,
    )


def _info(table: Any) -> CollectionInfo | None:
    kept = (table.schema.metadata or {}).get(_INFO)
    return None if kept is None else CollectionInfo(**json.loads(kept))


def _among(ids: Sequence[str]) -> str:
    return f"id IN ({', '.join(map(quoted, ids))})"


def _records(found: pa.Table, info: CollectionInfo) -> list[Record]:
    vectors: Any = [None] * len(found)
    several: Any = [None] * len(found)
    if "vector" in found.column_names:
        kept, few = found["vector"].combine_chunks(), info.keeping
        rows = kept.flatten().to_numpy().reshape(len(found), kept.type.list_size)
        vectors = unpacked(rows, "float32" if few.full else few.base, info.dim)
    if "several" in found.column_names:
        several = [np.array(one, np.float32) for one in found["several"].to_pylist()]
    lean = zip(*(found[name].to_pylist() for name in _LEAN), vectors, several, strict=True)
    return [
        Record(row_id, text, load_metadata(kept), digest, vector, None, more)
        for row_id, text, kept, digest, vector, more in lean
    ]
