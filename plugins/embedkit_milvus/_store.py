"""The store over a Milvus client.

What a collection was made for lies in a collection of its own. Vectors of unit length are compared by inner product, so
that they come back as they were. All that is written is read by the next request (consistency level Strong).
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from embedkit.stores import (
    Capabilities,
    CollectionInfo,
    CollectionNotFoundError,
    CollectionSpec,
    Filter,
    FloatArray,
    Hit,
    Page,
    Record,
    RecordBatch,
    RowError,
    SparseVectors,
    StoreError,
    WriteResult,
    answered,
    check_cursor,
    request_seconds,
    safe_name,
)

from ._errors import translated
from ._rows import (
    COLUMNS,
    MOST_BYTES,
    MOST_PARTS,
    TEXTS,
    entries,
    hit,
    in_parts,
    key_of,
    record,
    refusal,
    sparse_of,
    whole,
)
from ._where import FIELDS, digests, where

MOST_HITS = 16_384
"""The most rows that Milvus gives for one request; a search for more is made here, over all rows."""

INFO = "embedkit_collections"

# What it logs, with a traceback, is raised as well.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


def connect(address: str, **options: str) -> MilvusClient:
    """A client of the server at ``address``."""
    what, given = f"opening the server {address}", {name: value for name, value in options.items() if value}
    with translated(what):
        # Its own limit comes after ours, whose message says what to set.
        return answered(what, lambda: MilvusClient(address, timeout=2 * request_seconds(), **given))


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
        key = collection_key(spec.name)
        with self.request(f"creating the collection {spec.name!r}"):
            if not self._client.has_collection(INFO, timeout=request_seconds()):
                self._create(INFO, 2, 0, "L2")
            if not self._client.has_collection(key, timeout=request_seconds()):
                # What it is for comes first: a collection without it would be nobody's.
                info = json.dumps([spec.name, spec.dim, spec.metric, spec.fingerprint, spec.sparse])
                row = {"key": key, **in_parts(id="", text=info, metadata=""), "hash": "", FIELDS: ""}
                self._client.upsert(INFO, [{**row, "vector": [0.0, 0.0]}], timeout=request_seconds())
                self._create(key, spec.dim, spec.sparse, "L2" if spec.metric == "euclidean" else "IP")
        return self.open(spec.name)

    def open(self, name: str) -> MilvusCollection:
        """Open the collection, which embedkit must have made."""
        key = collection_key(name)
        with self.request(f"opening the collection {name!r}"):
            if not self._client.has_collection(key, timeout=request_seconds()):
                raise CollectionNotFoundError(f"no collection {name!r}")
            info = self._infos().get(key)
            if info is None:
                raise StoreError(
                    f"the Milvus collection {key!r} was not made by embedkit; choose another name than {name!r}"
                )
            self._client.load_collection(key, timeout=request_seconds())
        return MilvusCollection(self, self._client, key, info)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        with self.request("listing the collections"):
            there = set(self._client.list_collections(timeout=request_seconds()))
            return sorted(info.name for key, info in self._infos().items() if key in there)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        key = collection_key(name)
        with self.request(f"dropping the collection {name!r}"):
            if key in self._infos() and self._client.has_collection(key, timeout=request_seconds()):
                self._client.drop_collection(key, timeout=request_seconds())
                self._client.delete(INFO, ids=[key], timeout=request_seconds())

    def close(self) -> None:
        """Release the client."""
        if not self._closed:
            self._closed = True
            self._close()

    def _infos(self) -> dict[str, CollectionInfo]:
        if not self._client.has_collection(INFO, timeout=request_seconds()):
            return {}
        self._client.load_collection(INFO, timeout=request_seconds())
        rows = scan(self._client, INFO, "", ["text", "more"])
        return {row["key"]: CollectionInfo(*json.loads(whole(row, "text"))) for row in rows}

    def _create(self, key: str, dim: int, sparse: int, metric: str) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("key", DataType.VARCHAR, max_length=MOST_BYTES, is_primary=True)
        for name in (*TEXTS, "hash", FIELDS):
            schema.add_field(name, DataType.VARCHAR, max_length=MOST_BYTES)
        schema.add_field(
            "more", DataType.ARRAY, element_type=DataType.VARCHAR, max_length=MOST_BYTES, max_capacity=MOST_PARTS
        )
        index = MilvusClient.prepare_index_params()
        if dim:
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            index.add_index("vector", index_type=self._index, metric_type=metric)
        if sparse:
            schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
            index.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        try:
            self._client.create_collection(
                key, schema=schema, index_params=index, consistency_level="Strong", timeout=request_seconds()
            )
        except MilvusException:
            if not self._client.has_collection(key, timeout=request_seconds()):  # else another process has just made it
                raise

    @contextmanager
    def request(self, what: str) -> Iterator[None]:
        """One or several requests, of which what goes wrong is an embedkit error that says ``what`` was done."""
        if self._closed:
            raise StoreError(f"{what}: the store was closed; open it again")
        with translated(what):
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
            kept = in_parts(id=row_id, text=batch.texts[i], metadata=dumped[i])
            if reason := refusal(kept, fields, batch.hashes[i]):
                failed.append(RowError(row_id, reason))
                continue
            row = {"key": key_of(row_id), **kept, "hash": batch.hashes[i], FIELDS: fields}
            if self.info.dim:
                row["vector"] = batch.vectors[i]
            if batch.sparse is not None:
                row["sparse"] = sparse_of(batch.sparse, i)
            rows.append(row | numbers)
        with self._request("writing to"):
            if rows:
                self._client.upsert(self._key, rows, timeout=request_seconds())
        return WriteResult(len(rows), tuple(failed))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        columns = [*COLUMNS, "hash", *(self._vectors if with_vectors else [])]
        return [
            record(row, self.info) for row in self._among("reading from", [key_of(row_id) for row_id in ids], columns)
        ]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        by_key = {key_of(row_id): row_id for row_id in ids}
        return {by_key[row["key"]]: row["hash"] for row in self._among("reading hashes from", list(by_key), ["hash"])}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number of such rows that there were."""
        if ids is None:
            keys = [row["key"] for row in self._scan("deleting from", where(filter), ["key"])]
        else:
            keys = [row["key"] for row in self._among("deleting from", [key_of(row_id) for row_id in ids], ["key"])]
        with self._request("deleting from"):
            for start in range(0, len(keys), MOST_HITS):
                self._client.delete(self._key, ids=keys[start : start + MOST_HITS], timeout=request_seconds())
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
            kept = SparseVectors.of_rows([entries(row, self.info.sparse) for row in rows], self.info.sparse)
            return some.dot(kept)

        asked = [sparse_of(some, i) for i in range(len(some))]
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
            with self._request("searching"):
                found = self._client.search(
                    self._key,
                    vectors[start : start + together],
                    filter=condition,
                    limit=k,
                    output_fields=COLUMNS,
                    anns_field=column,
                    timeout=request_seconds(),
                )
            score = self._score if column == "vector" else float
            out += [[hit(one["entity"], score(one["distance"])) for one in hits] for hits in found]
        return out

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their keys, of which the cursor is the last."""
        limit, cursor = min(limit, MOST_HITS), check_cursor(cursor, "[0-9a-f]{40}")
        with self._request("reading from"):
            found = page(self._client, self._key, where(filter), [*COLUMNS, "hash"], cursor or "", limit)
        return Page([record(row, self.info) for row in found], found[-1]["key"] if len(found) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        with self._request("counting"):
            found = self._client.query(
                self._key, filter=where(filter), output_fields=["count(*)"], timeout=request_seconds()
            )
        return int(found[0]["count(*)"])

    def flush(self) -> None:
        """Have the server write its segments. Rows are durable in its log before a write returns."""
        with self._request("flushing"):
            self._client.flush(self._key, timeout=request_seconds())

    def _request(self, doing: str) -> AbstractContextManager[None]:
        return self._store.request(f"{doing} {self.info.name!r}")

    def _among(self, doing: str, keys: list[str], columns: list[str]) -> list[dict[str, Any]]:
        if not keys:
            return []
        with self._request(doing):
            return list(
                self._client.query(
                    self._key, filter=f"key in {json.dumps(keys)}", output_fields=columns, timeout=request_seconds()
                )
            )

    def _scan(self, doing: str, condition: str, columns: list[str]) -> list[dict[str, Any]]:
        with self._request(doing):
            return list(scan(self._client, self._key, condition, columns))

    def _compare_all(self, column: str, k: int, condition: str, compare: Callable[[list[Any]], Any]) -> list[list[Hit]]:
        found = self._scan("searching", condition, [column])
        keys = [row["key"] for row in found]
        scores = compare([row[column] for row in found])
        best = [np.argsort(-score, kind="stable")[:k] for score in scores]
        wanted = sorted({keys[i] for order in best for i in order})
        kept = {}
        for start in range(0, len(wanted), self._store.caps.max_batch_rows):
            part = self._among("searching", wanted[start : start + self._store.caps.max_batch_rows], COLUMNS)
            kept.update({row["key"]: row for row in part})
        return [
            [hit(kept[keys[i]], float(score[i])) for i in order if keys[i] in kept]
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
            timeout=request_seconds(),
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


def collection_key(name: str) -> str:
    """Milvus' name for a collection, of letters, digits and ``_``; no two names give the same one."""
    plain = re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) and not re.fullmatch(r".*_[0-9a-f]{16}", name)
    return name if plain and name != INFO else f"c_{safe_name(f'?{name}')}".replace("-", "_")
