"""The store over a Milvus client.

A row's key is a digest of its id, since Milvus takes no quotes in some places and no key above 65,535 bytes. Its other
texts end there too: what is longer goes on in ``more``, an array of texts, of which each begins with the initial of its
column. What a collection was made for lies in a collection of its own. Vectors of unit length are compared by inner
product, so that they come back as they were. All that is written is read by the next request (consistency level Strong).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from embedkit.errors import CollectionNotFoundError, EmbedkitError, StoreError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit, Page, Record, RowError, WriteResult
from embedkit.records.filters import Filter
from embedkit.records.metadata import load_metadata
from embedkit.stores.contract import Capabilities, CollectionInfo, CollectionSpec
from embedkit.stores.plugin_kit.naming import safe_name
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.sparse import SparseVectors

from ._where import FIELDS, digests, where

MOST_HITS = 16_384
"""The most rows that Milvus gives for one request; a search for more is made here, over all rows."""

_SECONDS = 60.0
_INFO = "embedkit_collections"
_PART, _PARTS, _BYTES = 16_000, 4_096, 65_535  # characters have up to 4 bytes
_LONG = ("id", "text", "metadata")
_ROW = [*_LONG, "more"]

_UNANSWERED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, 2}
_NOT_ALLOWED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_OVERLOADED = {8, 9}
_NO_COLLECTION = {4, 100}
_NOT_LOADED = {101}
# What it logs, with a traceback, is raised as well.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


def connect(address: str, **options: str) -> MilvusClient:
    """A client of the server at ``address``."""
    with _errors(f"opening the server {address}"):
        return MilvusClient(address, timeout=_SECONDS, **{name: value for name, value in options.items() if value})


class MilvusStore:
    """A `embedkit.stores.contract.VectorStore` over a Milvus client; ``index`` is the type of index that its collections get,
    ``close`` releases what was opened for it."""

    def __init__(self, client: MilvusClient, caps: Capabilities, index: str, close: Callable[[], None]) -> None:
        self.caps = caps
        self._index = index
        self._client, self._close = client, close
        self._closed = False

    def ensure(self, spec: CollectionSpec) -> MilvusCollection:
        """Open the collection, or create it."""
        key = _key(spec.name)
        with self._errors(f"creating the collection {spec.name!r}"):
            if not self._client.has_collection(_INFO, timeout=_SECONDS):
                self._create(_INFO, 2, 0, "L2")
            if not self._client.has_collection(key, timeout=_SECONDS):
                # What it is for comes first: a collection without it would be nobody's.
                info = json.dumps([spec.name, spec.dim, spec.metric, spec.fingerprint, spec.sparse])
                row = {"key": key, **_kept(id="", text=info, metadata=""), "hash": "", FIELDS: ""}
                self._client.upsert(_INFO, [{**row, "vector": [0.0, 0.0]}], timeout=_SECONDS)
                self._create(key, spec.dim, spec.sparse, "L2" if spec.metric == "euclidean" else "IP")
        return self.open(spec.name)

    def open(self, name: str) -> MilvusCollection:
        """Open the collection, which embedkit must have made."""
        key = _key(name)
        with self._errors(f"opening the collection {name!r}"):
            if not self._client.has_collection(key, timeout=_SECONDS):
                raise CollectionNotFoundError(f"no collection {name!r}; there are: {', '.join(self.names()) or 'none'}")
            info = self._infos().get(key)
            if info is None:
                raise StoreError(
                    f"the Milvus collection {key!r} was not made by embedkit; choose another name than {name!r}"
                )
            self._client.load_collection(key, timeout=_SECONDS)
        return MilvusCollection(self, self._client, key, info)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        with self._errors("listing the collections"):
            there = set(self._client.list_collections(timeout=_SECONDS))
            return sorted(info.name for key, info in self._infos().items() if key in there)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        key = _key(name)
        with self._errors(f"dropping the collection {name!r}"):
            if key in self._infos() and self._client.has_collection(key, timeout=_SECONDS):
                self._client.drop_collection(key, timeout=_SECONDS)
                self._client.delete(_INFO, ids=[key], timeout=_SECONDS)

    def close(self) -> None:
        """Release the client."""
        if not self._closed:
            self._closed = True
            self._close()

    def _infos(self) -> dict[str, CollectionInfo]:
        if not self._client.has_collection(_INFO, timeout=_SECONDS):
            return {}
        self._client.load_collection(_INFO, timeout=_SECONDS)
        rows = scan(self._client, _INFO, "", ["text", "more"])
        return {row["key"]: CollectionInfo(*json.loads(_whole(row, "text"))) for row in rows}

    def _create(self, key: str, dim: int, sparse: int, metric: str) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("key", DataType.VARCHAR, max_length=_BYTES, is_primary=True)
        for name in (*_LONG, "hash", FIELDS):
            schema.add_field(name, DataType.VARCHAR, max_length=_BYTES)
        schema.add_field("more", DataType.ARRAY, element_type=DataType.VARCHAR, max_length=_BYTES, max_capacity=_PARTS)
        index = MilvusClient.prepare_index_params()
        if dim:
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            index.add_index("vector", index_type=self._index, metric_type=metric)
        if sparse:
            schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
            index.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        try:
            self._client.create_collection(
                key, schema=schema, index_params=index, consistency_level="Strong", timeout=_SECONDS
            )
        except MilvusException:
            if not self._client.has_collection(key, timeout=_SECONDS):  # else another process has just made it
                raise

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        if self._closed:
            raise StoreError(f"{what}: the store was closed; open it again")
        with _errors(what):
            yield


class MilvusCollection:
    """A `embedkit.stores.contract.Collection` over a Milvus collection."""

    def __init__(self, store: MilvusStore, client: MilvusClient, key: str, info: CollectionInfo) -> None:
        self.info = info
        self._store, self._client, self._key = store, client, key
        self._vectors = [*(["vector"] if info.dim else []), *(["sparse"] if info.sparse else [])]

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows. A row that Milvus has no room for is named, and all others are written."""
        rows, failed = [], []
        dumped = batch.metadata_json()
        for i, row_id in enumerate(batch.ids):
            fields, numbers = digests(batch.metadata[i])
            kept = _kept(id=row_id, text=batch.texts[i], metadata=dumped[i])
            if reason := _refusal(kept, fields, batch.hashes[i]):
                failed.append(RowError(row_id, reason))
                continue
            row = {"key": _digest(row_id), **kept, "hash": batch.hashes[i], FIELDS: fields}
            if self.info.dim:
                row["vector"] = batch.vectors[i]
            if batch.sparse is not None:
                row["sparse"] = _sparse(batch.sparse, i)
            rows.append(row | numbers)
        with self._errors("writing to"):
            if rows:
                self._client.upsert(self._key, rows, timeout=_SECONDS)
        return WriteResult(len(rows), tuple(failed))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        columns = [*_ROW, "hash", *(self._vectors if with_vectors else [])]
        return [
            _record(row, self.info) for row in self._among("reading from", [_digest(row_id) for row_id in ids], columns)
        ]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        by_key = {_digest(row_id): row_id for row_id in ids}
        return {by_key[row["key"]]: row["hash"] for row in self._among("reading hashes from", list(by_key), ["hash"])}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number of such rows that there were."""
        if ids is None:
            keys = [row["key"] for row in self._scan("deleting from", where(filter), ["key"])]
        else:
            keys = [row["key"] for row in self._among("deleting from", [_digest(row_id) for row_id in ids], ["key"])]
        with self._errors("deleting from"):
            for start in range(0, len(keys), MOST_HITS):
                self._client.delete(self._key, ids=keys[start : start + MOST_HITS], timeout=_SECONDS)
        return len(keys)

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows, by the server's index; where ``k`` is more than Milvus gives, by comparing all."""
        far = self.info.metric == "euclidean"

        def compare(rows: list[Any]) -> Any:
            kept = np.asarray(rows, np.float64).reshape(len(rows), self.info.dim)
            asked = vectors.astype(np.float64)
            return np.array([-np.linalg.norm(kept - one, axis=1) if far else kept @ one for one in asked])

        return self._search("vector", list(vectors), k, where(filter), compare)

    def query_sparse(self, vectors: SparseVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest dot product, by the server's inverted index; where ``k`` is more than Milvus gives,
        by comparing all."""
        full = np.flatnonzero(np.diff(vectors.offsets))
        out: list[list[Hit]] = [[] for _ in range(len(vectors))]
        some = vectors[full]

        def compare(rows: list[Any]) -> Any:
            kept = SparseVectors.of_rows([_entries(row, self.info.sparse) for row in rows], self.info.sparse)
            return some.dot(kept)

        asked = [_sparse(some, i) for i in range(len(some))]
        for i, hits in zip(full, self._search("sparse", asked, k, where(filter), compare), strict=True):
            out[i] = hits
        return out

    def _search(
        self, column: str, vectors: list[Any], k: int, condition: str, compare: Callable[[list[Any]], Any]
    ) -> list[list[Hit]]:
        """By the index of a column, or where ``k`` is more than Milvus gives by ``compare``: the column's values to
        (questions, rows) scores."""
        if k > MOST_HITS:
            return self._compare_all(column, k, condition, compare)
        together = max(1, MOST_HITS // k)
        out = []
        for start in range(0, len(vectors), together):
            with self._errors("searching"):
                found = self._client.search(
                    self._key,
                    vectors[start : start + together],
                    filter=condition,
                    limit=k,
                    output_fields=_ROW,
                    anns_field=column,
                    timeout=_SECONDS,
                )
            score = self._score if column == "vector" else float
            out += [[_hit(hit["entity"], score(hit["distance"])) for hit in hits] for hits in found]
        return out

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their keys, of which the cursor is the last."""
        limit = min(limit, MOST_HITS)
        with self._errors("reading from"):
            found = page(self._client, self._key, where(filter), [*_ROW, "hash"], cursor or "", limit)
        return Page([_record(row, self.info) for row in found], found[-1]["key"] if len(found) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        with self._errors("counting"):
            found = self._client.query(self._key, filter=where(filter), output_fields=["count(*)"], timeout=_SECONDS)
        return int(found[0]["count(*)"])

    def flush(self) -> None:
        """Have the server write its segments. Rows are durable in its log before a write returns."""
        with self._errors("flushing"):
            self._client.flush(self._key, timeout=_SECONDS)

    def _errors(self, doing: str) -> Any:
        return self._store._errors(f"{doing} {self.info.name!r}")

    def _among(self, doing: str, keys: list[str], columns: list[str]) -> list[dict[str, Any]]:
        if not keys:
            return []
        with self._errors(doing):
            return list(
                self._client.query(
                    self._key, filter=f"key in {json.dumps(keys)}", output_fields=columns, timeout=_SECONDS
                )
            )

    def _scan(self, doing: str, condition: str, columns: list[str]) -> list[dict[str, Any]]:
        with self._errors(doing):
            return list(scan(self._client, self._key, condition, columns))

    def _compare_all(self, column: str, k: int, condition: str, compare: Callable[[list[Any]], Any]) -> list[list[Hit]]:
        found = self._scan("searching", condition, [column])
        keys = [row["key"] for row in found]
        scores = compare([row[column] for row in found])
        best = [np.argsort(-score, kind="stable")[:k] for score in scores]
        wanted = sorted({keys[i] for order in best for i in order})
        kept = {}
        for start in range(0, len(wanted), self._store.caps.max_batch_rows):
            part = self._among("searching", wanted[start : start + self._store.caps.max_batch_rows], _ROW)
            kept.update({row["key"]: row for row in part})
        return [
            [_hit(kept[keys[i]], float(score[i])) for i in order if keys[i] in kept]
            for score, order in zip(scores, best, strict=True)
        ]

    def _score(self, found: float) -> float:
        """Milvus gives the product itself, or the square of the distance."""
        return -math.sqrt(max(found, 0.0)) if self.info.metric == "euclidean" else found


def page(
    client: MilvusClient, key: str, condition: str, columns: list[str], after: str, limit: int
) -> list[dict[str, Any]]:
    """The next ``limit`` rows in the order of their keys, as Milvus' own iterator asks for them."""
    rest = f'key > "{after}"' + (f" and ({condition})" if condition else "")
    return list(
        client.query(
            key,
            filter=rest,
            output_fields=columns,
            limit=limit,
            iterator="True",
            reduce_stop_for_best=True,
            timeout=_SECONDS,
        )
    )


def scan(client: MilvusClient, key: str, condition: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    """All rows that satisfy ``condition``, page by page."""
    after, size = "", 1_000
    while True:
        found = page(client, key, condition, columns, after, size)
        yield from found
        if len(found) < size:
            return
        after = found[-1]["key"]


def _key(name: str) -> str:
    """A name of letters, digits and ``_``; no two names give the same one."""
    plain = re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) and not re.fullmatch(r".*_[0-9a-f]{16}", name)
    return name if plain and name != _INFO else f"c_{safe_name(f'?{name}')}".replace("-", "_")


def _digest(row_id: str) -> str:
    return hashlib.sha256(row_id.encode()).hexdigest()[:40]


def _kept(**columns: str) -> dict[str, Any]:
    more = [
        name[0] + text[start : start + _PART]
        for name, text in columns.items()
        for start in range(_PART, len(text), _PART)
    ]
    return {**{name: text[:_PART] for name, text in columns.items()}, "more": more}


def _whole(row: dict[str, Any], name: str) -> str:
    return str(row[name]) + "".join(part[1:] for part in row["more"] if part[0] == name[0])


def _refusal(kept: dict[str, Any], fields: str, digest: str) -> str:
    if len(kept["more"]) > _PARTS:
        return f"text: Milvus keeps at most about {_PART * _PARTS:,} characters of a row; split it"
    if len(fields) > _BYTES:
        return "metadata: Milvus keeps at most about 1,200 keys that can be filtered on; nest some of them under one"
    if len(digest.encode()) > _BYTES:
        return f"hash: Milvus keeps at most {_BYTES:,} bytes"
    return ""


def _record(row: dict[str, Any], info: CollectionInfo) -> Record:
    return Record(
        _whole(row, "id"),
        _whole(row, "text"),
        load_metadata(_whole(row, "metadata")),
        row["hash"],
        np.asarray(row["vector"], np.float32) if "vector" in row else None,
        SparseVectors.of_rows([_entries(row["sparse"], info.sparse)], info.sparse) if "sparse" in row else None,
    )


def _sparse(vectors: SparseVectors, row: int) -> dict[int, float]:
    """A sparse vector as Milvus takes it; it takes no empty one, for which a number after the last stands."""
    indices, values = vectors[row]
    return dict(zip(indices.tolist(), values.tolist(), strict=True)) or {vectors.dim: 1.0}


def _entries(found: Mapping[Any, float], dim: int) -> tuple[list[int], list[float]]:
    kept = {int(index): value for index, value in found.items() if int(index) < dim}
    return list(kept), list(kept.values())


def _hit(row: dict[str, Any], score: float) -> Hit:
    return Hit(_whole(row, "id"), score, _whole(row, "text"), load_metadata(_whole(row, "metadata")))


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn whatever the client raises into an embedkit error."""
    try:
        yield
    except EmbedkitError:
        raise
    except Exception as error:
        raise _translated(what, error) from error


def _translated(what: str, error: Exception) -> StoreError:
    code = error.code() if isinstance(error, grpc.RpcError) else getattr(error, "code", None)
    said = " ".join((error.message if isinstance(error, MilvusException) else str(error)).split())[:500]
    message, lower = f"{what}: Milvus: {said}", said.lower()
    if code in _UNANSWERED or "fail connecting" in lower or "connection refused" in lower:
        return TransientStoreError(f"{message}; look whether the server runs, and try again")
    if code in _NOT_ALLOWED or "auth check failure" in lower or "permission deny" in lower:
        return StoreError(f"{message}; set MILVUS_TOKEN, or MILVUS_USER and MILVUS_PASSWORD, for this server")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED or "larger than max" in lower:
        return StoreError(f"{message}; write fewer or smaller rows at once, or raise the server's request limit")
    if code in _OVERLOADED or "rate limit" in lower:
        return TransientStoreError(f"{message}; try again later, or raise the server's quota")
    if code in _NO_COLLECTION and "collection" in lower:
        return CollectionNotFoundError(f"{message}; it was dropped meanwhile: open or create it anew")
    if code in _NOT_LOADED:
        return StoreError(f"{message}; it was released meanwhile: open it again")
    if "closed channel" in lower:
        return StoreError(f"{message}; the store was closed: open it again")
    return StoreError(f"{message}; correct the request, or look into the server's log")
