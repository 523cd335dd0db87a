"""The store over Qdrant's engine, a shard a collection.

Equality and presence are looked up in an index of terms, one string for each field and value: without an index the engine
reads the payloads of all points, and its Python classes turn a bool in a condition into a number.

A collection is a folder with a shard and a file that says what it was made for. It is made under another name and then
renamed, so that it is there whole or not at all. The engine's log of writes is kept by the operating system as soon as a
write returns, so that it survives the process; `EdgeCollection.flush` brings it to the disk. One process at a time has a
collection open, which the engine sees to.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from embedkit.stores import (
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
    Scalar,
    SparseVectors,
    StoreError,
    WriteResult,
    folder_bytes,
    require_room,
    safe_name,
    term,
)
from embedkit_qdrant.points import (
    DENSE,
    OVERSAMPLING,
    PAYLOAD,
    SEVERAL,
    SPARSE,
    check_offset,
    condition,
    has_names,
    hit,
    payloads,
    point_id,
    record,
    vectors,
)

from . import CAPABILITIES, FOLDER
from ._config import config_of
from ._errors import translated

INDEX_FROM_ROWS = 100_000
"""Rows from which a flush builds a vector index; fewer are compared one by one, exactly."""

_INFO, _SHARD, _TERMS = "embedkit.json", "shard", "terms"
_PAGES = 16 << 20
"""The engine maps its files, which grow by up to 32 MiB at once: on a full disk the whole process would be killed."""
_FLUSH_EVERY = 20_000
"""Rows after which the log of writes is brought to the disk, since it is read again when a collection is opened."""


class EdgeStore:
    """A `embedkit.stores.contract.VectorStore` over a folder."""

    caps = CAPABILITIES[FOLDER]

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._opening = threading.RLock()
        self._shards: dict[str, edge.EdgeShard] = {}
        self._closed = False
        with translated(f"opening the folder {path!r}"):
            self._path.mkdir(parents=True, exist_ok=True)

    def ensure(self, spec: CollectionSpec) -> EdgeCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        info = asdict(CollectionInfo.of(spec))
        config = config_of(spec, INDEX_FROM_ROWS)
        made = self._path / f".{uuid.uuid4().hex}"
        with translated(f"creating the collection {spec.name!r}"):
            require_room(self._path, _PAGES)
            try:
                made.mkdir()
                shard = edge.EdgeShard.create(str(made / _SHARD), config)
                shard.update(edge.UpdateOperation.create_field_index(_TERMS, edge.PayloadSchemaType.Keyword))
                shard.flush()
                shard.close()
                with open(made / _INFO, "w", encoding="utf-8") as file:
                    json.dump(info, file)
                    file.flush()
                    os.fsync(file.fileno())
                made.rename(self._folder(spec.name))
            except OSError:
                if not self._folder(spec.name).exists():  # else another process made it meanwhile
                    raise
            finally:
                shutil.rmtree(made, ignore_errors=True)
        return self.open(spec.name)

    def open(self, name: str) -> EdgeCollection:
        """Open the collection, which embedkit must have made."""
        folder = self._folder(name)
        with self._opening, translated(f"opening the collection {name!r}"):
            if not folder.exists():
                raise CollectionNotFoundError(f"no collection {name!r}")
            info = _info(folder)
            if info is None:
                raise StoreError(f"the folder {folder} was not made by embedkit; choose another name than {name!r}")
            shard = self._shards.get(folder.name)
            if shard is None:
                shard = self._shards[folder.name] = edge.EdgeShard.load(str(folder / _SHARD))
            return EdgeCollection(shard, info, folder)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        self._require_open()
        with translated("listing the collections"):
            found = [_info(folder) for folder in self._path.iterdir() if not folder.name.startswith(".")]
        return sorted(info.name for info in found if info)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one and no other process has it open."""
        folder = self._folder(name)
        with self._opening, translated(f"dropping the collection {name!r}"):
            if _info(folder) is None:
                return
            shard = self._shards.pop(folder.name, None) or edge.EdgeShard.load(str(folder / _SHARD))
            shard.close()
            gone = self._path / f".{uuid.uuid4().hex}"
            folder.rename(gone)
            shutil.rmtree(gone)

    def close(self) -> None:
        """Flush and release the collections."""
        with self._opening, translated(f"closing the folder {str(self._path)!r}"):
            self._closed = True
            while self._shards:
                self._shards.popitem()[1].close()

    def _folder(self, name: str) -> Path:
        self._require_open()
        return self._path / safe_name(name)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store in {str(self._path)!r} was closed; open it again")


class EdgeCollection:
    """A `embedkit.stores.contract.Collection` over a shard."""

    def __init__(self, shard: edge.EdgeShard, info: CollectionInfo, folder: Path) -> None:
        self.info = info
        self._shard, self._folder = shard, folder
        self._unflushed = 0

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows; when it returns they are in the engine's log."""
        columns = zip(batch.ids, vectors(batch, edge.SparseVector), payloads(batch), strict=True)
        points = [edge.Point(point_id(row_id), vector, _with_terms(payload)) for row_id, vector, payload in columns]
        with translated(f"writing {len(points)} rows to {self.info.name!r}"):
            require_room(self._folder, _PAGES + sum(batch.sizes()))
            self._shard.update(edge.UpdateOperation.upsert_points(points))
            self._unflushed += len(points)
            if self._unflushed >= _FLUSH_EVERY:
                self._shard.flush()
                self._unflushed = 0
        return WriteResult(len(points))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        points = [point_id(row_id) for row_id in ids]
        with translated(f"reading from {self.info.name!r}"):
            found = self._shard.retrieve(list(points), with_payload=PAYLOAD, with_vector=with_vectors)
        return [record(point, self.info) for point in found]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        points = [point_id(row_id) for row_id in ids]
        with translated(f"reading hashes from {self.info.name!r}"):
            found = self._shard.retrieve(list(points), with_payload=["id", "hash"], with_vector=False)
        return {point.payload["id"]: point.payload["hash"] for point in found if point.payload}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number of such rows that there were."""
        which = (
            _filter(filter) if ids is None else edge.Filter(must=[_MODELS.ids([point_id(row_id) for row_id in ids])])
        )
        assert which is not None
        with translated(f"deleting from {self.info.name!r}"):
            count = self._shard.count(edge.CountRequest(filter=which))
            if count:
                self._shard.update(edge.UpdateOperation.delete_points_by_filter(which))
        return count

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows; where the index finds fewer, all rows are compared."""
        using = DENSE if has_names(self.info) else None
        asked = [edge.Query.Nearest(vector, using) for vector in vectors.tolist()]
        return self._nearest(asked, k, filter, -1.0 if self.info.metric == "euclidean" else 1.0)

    def query_sparse(self, vectors: SparseVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest dot product, of those that share a number."""
        out: list[list[Hit]] = [[] for _ in range(len(vectors))]
        full = [i for i, (indices, _) in enumerate(vectors) if len(indices)]
        asked = [edge.Query.Nearest(edge.SparseVector(*(part.tolist() for part in vectors[i])), SPARSE) for i in full]
        with translated(f"searching {self.info.name!r}"):
            for i, points in zip(full, self._asked(asked, k, filter, exact=False) if full else [], strict=True):
                out[i] = [hit(point, 1.0) for point in points]
        return out

    def query_multivector(self, vectors: MultiVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest MaxSim; where the index finds fewer, all rows are compared."""
        return self._nearest([edge.Query.Nearest(several.tolist(), SEVERAL) for several in vectors], k, filter, 1.0)

    def _nearest(self, asked: list[Any], k: int, filter: Filter | None, sign: float) -> list[list[Hit]]:
        with translated(f"searching {self.info.name!r}"):
            found = self._asked(asked, k, filter, exact=False)
            short = [i for i, points in enumerate(found) if len(points) < k]
            if short and self._shard.info().indexed_vectors_count:
                again = self._asked([asked[i] for i in short], k, filter, exact=True)
                for i, points in zip(short, again, strict=True):
                    found[i] = points
        return [[hit(point, sign) for point in points] for points in found]

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their point ids."""
        asked = edge.ScrollRequest(
            offset=check_offset(cursor), limit=limit, filter=_filter(filter), with_payload=PAYLOAD
        )
        with translated(f"reading from {self.info.name!r}"):
            found, after = self._shard.scroll(asked)
        return Page([record(point, self.info) for point in found], None if after is None else str(after))

    def count(self, filter: Filter | None = None) -> int:
        """The exact number of rows that satisfy ``filter``."""
        with translated(f"counting {self.info.name!r}"):
            return self._shard.count(edge.CountRequest(filter=_filter(filter)))

    def flush(self) -> None:
        """Bring all to the disk, merge segments, and index the vectors of a large collection."""
        with translated(f"flushing {self.info.name!r}"):
            self._shard.flush()
            self._shard.optimize()
            self._shard.flush()
        self._unflushed = 0

    def measured(self) -> Footprint:
        """The bytes of the collection's folder."""
        with translated(f"measuring {self.info.name!r}"):
            indexed = self._shard.info().indexed_vectors_count
        return Footprint(
            folder_bytes(self._folder), f"HNSW of {indexed:,} vectors" if indexed else "none yet: all rows are compared"
        )

    def _asked(self, queries: list[Any], k: int, filter: Filter | None, *, exact: bool) -> list[list[edge.ScoredPoint]]:
        keeping = self.info.keeping
        few = edge.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING.get(keeping.precision, 1.0))
        ef = dict(keeping.index).get("search")
        which, params = _filter(filter), edge.SearchParams(exact=exact, hnsw_ef=ef, quantization=few)
        asked = [
            edge.QueryRequest(
                limit=k, query=query, filter=which, params=params, with_payload=["id", "text", "metadata"]
            )
            for query in queries
        ]
        return self._shard.query_batch(edge.QueryBatchRequest(asked))


class _Models:
    """Conditions of qdrant_edge."""

    def all_of(self, parts: list[Any]) -> Any:
        return edge.Filter(must=parts)

    def any_of(self, parts: list[Any]) -> Any:
        return edge.Filter(should=parts)

    def none_of(self, parts: list[Any]) -> Any:
        return edge.Filter(must_not=parts)

    def ids(self, ids: list[str]) -> Any:
        return edge.HasIdCondition(set(ids))

    def is_null(self, key: str) -> Any:
        return self.equal(key, None)

    def is_empty(self, key: str) -> Any:
        return self.none_of([edge.FieldCondition(_TERMS, match=edge.MatchValue(term(key)))])

    def equal(self, key: str, value: Scalar | None) -> Any:
        return edge.FieldCondition(_TERMS, match=edge.MatchValue(term(key, value)))

    def among(self, key: str, values: list[str] | list[int]) -> Any:
        return edge.FieldCondition(_TERMS, match=edge.MatchAny([term(key, value) for value in values]))

    def within(self, key: str, bounds: dict[str, float]) -> Any:
        """Numbers within a bound. What is read again from Edge's own files is up to two steps of a float64 off, so the numbers
        that are as near as that to the bound are named by their terms, which are exact."""
        ((op, value),) = bounds.items()
        inside: list[str] = []
        outside: list[str] = []
        for number in _near(value):
            holds = {"lt": number < value, "lte": number <= value, "gt": number > value, "gte": number >= value}[op]
            (inside if holds else outside).extend(_forms(key, number))
        found = [edge.FieldCondition(key, range=edge.RangeFloat(**bounds))]
        if inside:
            found.append(edge.FieldCondition(_TERMS, match=edge.MatchAny(inside)))
        either = self.any_of(found)
        if not outside:
            return either
        return self.all_of([either, self.none_of([edge.FieldCondition(_TERMS, match=edge.MatchAny(outside))])])


def _near(value: float) -> set[float]:
    """A number, and the two float64 on each side of it."""
    down = math.nextafter(value, -math.inf)
    up = math.nextafter(value, math.inf)
    near = {value, down, math.nextafter(down, -math.inf), up, math.nextafter(up, math.inf)}
    return {number for number in near if math.isfinite(number)}


def _forms(key: str, number: float) -> list[str]:
    """The terms of a number: as what it is and, of a whole one, as an integer and a float."""
    forms: list[float] = [number, float(number), *([int(number)] if number == int(number) else [])]
    return list(dict.fromkeys(term(key, form) for form in forms if form == number))


_MODELS = _Models()


def _with_terms(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload, with its fields as terms too."""
    fields = {f"fields.{name}": value for name, value in payload["fields"].items()}
    having = [term(key, value) for key, value in fields.items() if not isinstance(value, dict)]
    return payload | {_TERMS: [*map(term, fields), *having]}


def _filter(expression: Filter | None) -> edge.Filter | None:
    return None if expression is None else edge.Filter(must=[condition(expression, _MODELS)])


def _info(folder: Path) -> CollectionInfo | None:
    try:
        kept = json.loads((folder / _INFO).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return CollectionInfo(**kept)
