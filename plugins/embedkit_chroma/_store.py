"""The store over a Chroma client.

A collection is made with inner-product space, under euclidean with squared distances, and vectors are stored as given, so
that they come back bit for bit. Its index is HNSW, so `ChromaCollection.query` is approximate, but in small collections of a
folder, whose rows are compared one by one. A row keeps its lossless metadata and its content hash under keys of their own,
beside the entries that can be filtered on, whose keys have a prefix because Chroma reserves some names.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any

import chromadb
import httpx
import numpy as np
from chromadb.config import Settings
from chromadb.errors import NotFoundError

from embedkit.stores import (
    CONNECT_SECONDS,
    CollectionInfo,
    CollectionNotFoundError,
    CollectionSpec,
    Filter,
    FloatArray,
    Hit,
    Page,
    Record,
    RecordBatch,
    StoreError,
    WriteResult,
    answered,
    load_metadata,
    request_seconds,
    require_room,
    safe_name,
)

from . import CAPABILITIES, FOLDER, SERVER
from ._errors import translated
from ._folder import closed, database_of, is_same_process, keep_log, opened, recover, require_same_process
from ._vectors import LoggedVectors, nearest
from ._where import fields, where

_INFO, _JSON, _HASH = "embedkit.", "embedkit.metadata", "embedkit.hash"
_IDS, _SCANS = 1000, 4
"""Most ids of one request, and most scans whose ids are kept."""
_LOST = "Error finding id"
"""What Chroma says where its index has no vector of a row."""
_HITS = 10_000
"""Most hits of one request to the index: each is one of the 32,766 parameters of a statement."""
INDEX_FROM_ROWS = 10_000
"""Rows from which a folder's index is searched; fewer are compared one by one, exactly."""
_SETTINGS = {"m": "max_neighbors", "ef": "ef_construction", "search": "ef_search"}
_HNSW = {"ef_construction": 60, "ef_search": 500, "max_neighbors": 32}
"""Of 40,000 vectors of sentences a search finds .999 of the 10 nearest (Chroma's own settings: .993); a construction effort of
100 finds .9997 at 1.5 times the work."""


def open_folder(path: str) -> ChromaStore:
    """The store in a folder, which is made if it is not there."""
    require_same_process(f"opening the folder {path!r}")
    with translated(f"opening the folder {path!r}"):
        recover(path)
        client = chromadb.PersistentClient(path, settings=Settings(anonymized_telemetry=False))
        keep_log(path)
        opened(path)
        return ChromaStore(client, folder=path)


def open_server(host: str, port: int, *, secure: bool) -> ChromaStore:
    """The store on a server."""
    what, settings = f"opening the server {host}:{port}", Settings(anonymized_telemetry=False)
    import chromadb.api.fastapi  # what the client loads when it connects: no time of the server's

    with translated(what):
        client = answered(what, lambda: chromadb.HttpClient(host, port, ssl=secure, settings=settings))
        session = getattr(getattr(client, "_server", None), "_session", None)
        if isinstance(session, httpx.Client):  # by itself it waits for ever
            seconds = request_seconds()
            session.timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        return ChromaStore(client)


class ChromaStore:
    """A `embedkit.stores.contract.VectorStore` over a Chroma client."""

    def __init__(self, client: Any, *, folder: str | None = None) -> None:
        self._opened, self._folder = client, folder
        self._closed = False
        self._writing = threading.Lock()
        rows = int(client.get_max_batch_size())
        self.caps = replace(CAPABILITIES[FOLDER if folder else SERVER], max_batch_rows=rows)

    @property
    def _client(self) -> Any:
        if self._folder is not None:
            require_same_process(f"the folder {self._folder!r}")
        return self._opened

    def ensure(self, spec: CollectionSpec) -> ChromaCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        info = {"name": spec.name, "dim": spec.dim, "metric": spec.metric, "fingerprint": spec.fingerprint}
        settings = {_SETTINGS[name]: value for name, value in spec.keeping.index}
        space = "l2" if spec.metric == "euclidean" else "ip"
        with translated(f"creating the collection {spec.name!r}"):
            made = self._client.get_or_create_collection(
                safe_name(spec.name),
                metadata={_INFO + key: value for key, value in info.items()},
                configuration={"hnsw": {"space": space, **_HNSW, **settings}},
                embedding_function=None,
            )
        return self._collection(spec.name, made)

    def open(self, name: str) -> ChromaCollection:
        """Open the collection, which embedkit must have made."""
        with translated(f"opening the collection {name!r}"):
            try:
                found = self._client.get_collection(safe_name(name), embedding_function=None)
            except NotFoundError:
                raise CollectionNotFoundError(f"no collection {name!r}") from None
        return self._collection(name, found)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        with translated("listing the collections"):
            infos = [_info(found) for found in self._client.list_collections()]
        return sorted(info.name for info in infos if info)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        with translated(f"dropping the collection {name!r}"), suppress(NotFoundError):
            self._client.delete_collection(safe_name(name))

    def close(self) -> None:
        """Release the client; a folder is closed with the last client that this process has on it."""
        if self._closed:
            return
        self._closed = True
        if self._folder is None or is_same_process():
            self._opened.close()
            if self._folder is not None:
                closed(self._folder)

    def _collection(self, name: str, found: Any) -> ChromaCollection:
        info = _info(found)
        if info is None:
            raise StoreError(
                f"the Chroma collection {found.name!r} was not made by embedkit; choose another name than {name!r}"
            )
        return ChromaCollection(found, info, self._writing, self._folder)


class ChromaCollection:
    """A `embedkit.stores.contract.Collection` over a Chroma collection."""

    def __init__(self, inner: Any, info: CollectionInfo, writing: threading.Lock, folder: str | None) -> None:
        self.info = info
        self._made, self._writing, self._folder = inner, writing, folder
        self._scans: dict[str, list[str]] = {}
        self._logged = LoggedVectors(database_of(folder), str(inner.id), info.dim) if folder is not None else None

    @property
    def _inner(self) -> Any:
        if self._folder is not None:
            require_same_process(f"the folder {self._folder!r}")
        return self._made

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows.

        Chroma merges an upsert's metadata into what is there, and removes a key that is given as None: so the keys
        that the rows have now are read first, under a lock. Rows that are new are added, which costs less; where another
        process has written one of them in between, Chroma keeps that one's. Where two processes replace one row at once, filters
        may find it by the fields of both.
        """
        ids = list(batch.ids)
        rows = [
            {_JSON: kept, _HASH: digest, **fields(metadata)}
            for metadata, kept, digest in zip(batch.metadata, batch.metadata_json(), batch.hashes, strict=True)
        ]
        with translated(f"writing {len(ids)} rows to {self.info.name!r}"), self._writing:
            if self._folder is not None:  # where the disk is full, Chroma's write may never return
                require_room(self._folder, sum(batch.sizes()))
            known = self._inner.get(ids=ids, include=["metadatas"])
            old = dict(zip(known["ids"], known["metadatas"], strict=True))
            there = [i for i, row_id in enumerate(ids) if row_id in old]
            new = [i for i, row_id in enumerate(ids) if row_id not in old]
            for write, which in ((self._inner.upsert, there), (self._inner.add, new)):
                if which:
                    write(
                        ids=[ids[i] for i in which],
                        embeddings=batch.vectors[which],
                        documents=[batch.texts[i] for i in which],
                        metadatas=[dict.fromkeys(old.get(ids[i], ())) | rows[i] for i in which],
                    )
        return WriteResult(len(ids))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        return self._records(with_vectors=with_vectors, ids=list(ids)) if ids else []

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        if not ids:
            return {}
        with translated(f"reading hashes from {self.info.name!r}"):
            found = self._inner.get(ids=list(ids), include=["metadatas"])
        return {row_id: row[_HASH] for row_id, row in zip(found["ids"], found["metadatas"], strict=True)}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number of such rows that there were."""
        which: dict[str, Any] = {"where": where(filter)} if ids is None else {"ids": list(ids)}
        if ids is not None and not ids:
            return 0
        with translated(f"deleting from {self.info.name!r}"):
            count = len(self._inner.get(**which, include=[])["ids"])
            if count:
                self._inner.delete(**which)
        return count

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows; Chroma's inner-product distance is 1 - score, its other one the square.

        A small collection of a folder is compared row by row, by the vectors in Chroma's log. Chroma's index may lose the way to a
        row around which others were replaced: where it finds fewer than ``k``, and where ``k`` is more than it gives at once,
        those that it left out are compared one by one.
        """
        condition = where(filter)
        compared = self._compared(vectors, k, condition)
        if compared is not None:
            return compared
        first = min(k, _HITS)
        together = max(1, _HITS // first)
        out = [
            hits
            for start in range(0, len(vectors), together)
            for hits in self._indexed(vectors[start : start + together], first, condition)
        ]
        if any(len(hits) < k for hits in out):
            ids = self._ids(condition)
            short = [i for i, hits in enumerate(out) if len(hits) < min(k, len(ids))]
            if short:
                self._complete([out[i] for i in short], vectors[short], ids, k)
        return out

    def _compared(self, vectors: FloatArray, k: int, condition: dict[str, Any] | None) -> list[list[Hit]] | None:
        """The ``k`` nearest rows by comparing all; None where they are too many, or not all in the log."""
        if self._logged is None:
            return None
        with translated(f"searching {self.info.name!r}"):
            count = int(self._inner.count())
            kept = self._logged.of(count) if count < INDEX_FROM_ROWS else None
        if kept is None:
            return None
        ids, rows = kept
        if condition is not None:
            some = set(self._ids(condition))
            which = [i for i, row_id in enumerate(ids) if row_id in some]
            ids, rows = [ids[i] for i in which], rows[which]
        best = nearest(vectors, rows, k, euclidean=self.info.metric == "euclidean")
        wanted = sorted({ids[i] for hits in best for i, _ in hits})
        found: dict[str, Record] = {}
        for start in range(0, len(wanted), _IDS):
            part = self._records(ids=wanted[start : start + _IDS])
            found.update((record.id, record) for record in part)
        return [
            [
                Hit(ids[i], score, found[ids[i]].text, deepcopy(found[ids[i]].metadata))
                for i, score in hits
                if ids[i] in found
            ]
            for hits in best
        ]

    def _indexed(self, vectors: FloatArray, k: int, condition: dict[str, Any] | None) -> list[list[Hit]]:
        with translated(f"searching {self.info.name!r}"):
            found = self._inner.query(
                query_embeddings=vectors,
                n_results=k,
                where=condition,
                include=["metadatas", "documents", "distances"],
            )
        answers = zip(found["ids"], found["distances"], found["documents"], found["metadatas"], strict=True)
        return [
            [
                Hit(row_id, self._score(far), text, load_metadata(row[_JSON]))
                for row_id, far, text, row in zip(*columns, strict=True)
            ]
            for columns in answers
        ]

    def _complete(self, short: list[list[Hit]], vectors: FloatArray, ids: list[str], k: int) -> None:
        """Add to the hits of each of the vectors (n, dim) those of the rows ``ids`` that are missing, up to ``k`` in all."""
        euclidean = self.info.metric == "euclidean"
        known = [{hit.id for hit in hits} for hits in short]
        common = set.intersection(*known)
        rest = [row_id for row_id in ids if row_id not in common]
        for start in range(0, len(rest), _IDS):
            for record in self._records(with_vectors=True, ids=rest[start : start + _IDS]):
                if record.vector is None:
                    continue
                scores = -np.linalg.norm(vectors - record.vector, axis=1) if euclidean else vectors @ record.vector
                for hits, there, score in zip(short, known, scores.tolist(), strict=True):
                    if record.id not in there:
                        hits.append(Hit(record.id, score, record.text, record.metadata))
            for hits in short:
                hits.sort(key=lambda hit: (-hit.score, hit.id))
                del hits[k:]

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their ids; the cursor is the last id.

        Chroma pages by position, which moves where rows are deleted: so the ids are read once, and kept for the next pages.
        """
        condition = where(filter)
        kept = repr(condition)
        known = self._scans.get(kept) if cursor is not None else None
        ids = self._ids(condition) if known is None else known
        start = 0 if cursor is None else bisect_right(ids, cursor)
        records: list[Record] = []
        while len(records) < limit and start < len(ids):
            part = ids[start : start + min(limit - len(records), _IDS)]
            records += sorted(self._records(ids=part, where=condition), key=lambda record: record.id)
            start += len(part)
        if start == len(ids):
            self._scans.pop(kept, None)
            return Page(records)
        self._scans[kept] = ids
        for oldest in list(self._scans)[:-_SCANS]:
            self._scans.pop(oldest, None)
        return Page(records, ids[start - 1])

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        with translated(f"counting {self.info.name!r}"):
            return (
                int(self._inner.count())
                if filter is None
                else len(self._inner.get(where=where(filter), include=[])["ids"])
            )

    def flush(self) -> None:
        """Chroma commits each write before it answers, so there is nothing to do."""

    def _score(self, far: float) -> float:
        return -math.sqrt(max(far, 0.0)) if self.info.metric == "euclidean" else 1.0 - far

    def _ids(self, condition: dict[str, Any] | None) -> list[str]:
        with translated(f"reading from {self.info.name!r}"):
            return sorted(self._inner.get(where=condition, include=[])["ids"])

    def _records(self, *, with_vectors: bool = False, **which: Any) -> list[Record]:
        include = ["metadatas", "documents", *(["embeddings"] if with_vectors else [])]
        try:
            with translated(f"reading from {self.info.name!r}"):
                found = self._inner.get(**which, include=include)
        except StoreError as error:
            if not with_vectors or _LOST not in str(error):
                raise
            return self._around_lost(which["ids"])
        vectors = np.asarray(found["embeddings"], np.float32) if with_vectors else [None] * len(found["ids"])
        return [
            Record(row_id, text, load_metadata(row[_JSON]), row[_HASH], vector)
            for row_id, text, row, vector in zip(
                found["ids"], found["documents"], found["metadatas"], vectors, strict=True
            )
        ]

    def _around_lost(self, ids: list[str]) -> list[Record]:
        """Rows with their vectors, of which Chroma gives none where one is lost from its index; that one without."""
        if len(ids) == 1:
            return self._records(ids=ids)
        middle = len(ids) // 2
        halves = (ids[:middle], ids[middle:])
        return [record for half in halves for record in self._records(with_vectors=True, ids=half)]


def _info(found: Any) -> CollectionInfo | None:
    kept = found.metadata or {}
    if _INFO + "name" not in kept:
        return None
    name, dim, metric, fingerprint = (kept[_INFO + key] for key in ("name", "dim", "metric", "fingerprint"))
    return CollectionInfo(name, dim, metric, fingerprint)
