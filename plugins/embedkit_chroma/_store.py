"""The store over a Chroma client.

A collection is made with inner-product space, under euclidean with squared distances, and vectors are stored as given, so
that they come back bit for bit. Its index is HNSW, so `ChromaCollection.query` is approximate, but in small collections. A row
keeps its lossless metadata and its content hash under keys of their own, beside the entries that can be filtered on, whose
keys have a prefix because Chroma reserves some names.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import chromadb
import httpx
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
    request_seconds,
    require_room,
    safe_name,
)

from . import CAPABILITIES, FOLDER, SERVER
from ._errors import translated
from ._folder import closed, database_of, is_same_process, keep_log, opened, recover, require_same_process
from ._rows import HASH, IDS, JSON, Rows
from ._search import Search
from ._vectors import LoggedVectors
from ._where import fields, where

_INFO = "embedkit."
_SCANS = 4
"""Most scans whose ids are kept."""
_SETTINGS = {"m": "max_neighbors", "ef": "ef_construction", "search": "ef_search"}
_HNSW = {"ef_construction": 60, "ef_search": 500, "max_neighbors": 32}
"""Of 40,000 vectors of sentences a search finds .999 of the 10 nearest (Chroma's own settings: .993); a construction effort of
100 finds .9997 at 1.5 times the work."""


def open_folder(path: str) -> ChromaStore:
    """The store in a folder, which is made if it is not there."""
    require_same_process(f"opening the folder {path!r}")
    if os.path.exists(path) and not os.path.isdir(path):
        raise StoreError(f"opening the folder {path!r}: it is a file; name a folder, or one that is to be made")
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
        self._rows = Rows(inner, info, folder)
        self._writing, self._folder = writing, folder
        self._scans: dict[str, list[str]] = {}
        logged = LoggedVectors(database_of(folder), str(inner.id), info.dim) if folder is not None else None
        self._search = Search(self._rows, logged)

    @property
    def _inner(self) -> Any:
        return self._rows.inner

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows.

        Chroma merges an upsert's metadata into what is there, and removes a key that is given as None: so the keys
        that the rows have now are read first, under a lock. Rows that are new are added, which costs less; where another
        process has written one of them in between, Chroma keeps that one's. Where two processes replace one row at once, filters
        may find it by the fields of both.
        """
        ids = list(batch.ids)
        rows = [
            {JSON: kept, HASH: digest, **fields(metadata)}
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
        return self._rows.of(ids, with_vectors=with_vectors)

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        if not ids:
            return {}
        with translated(f"reading hashes from {self.info.name!r}"):
            found = self._inner.get(ids=list(ids), include=["metadatas"])
        return {row_id: row[HASH] for row_id, row in zip(found["ids"], found["metadatas"], strict=True)}

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
        """The ``k`` nearest rows: exact in a folder of fewer than 10,000 rows, and on a server of fewer than 2,000."""
        return self._search.hits(vectors, k, where(filter))

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their ids; the cursor is the last id.

        Chroma pages by position, which moves where rows are deleted: so the ids are read once, and kept for the next pages.
        """
        condition = where(filter)
        kept = repr(condition)
        known = self._scans.get(kept) if cursor is not None else None
        ids = self._rows.ids(condition) if known is None else known
        start = 0 if cursor is None else bisect_right(ids, cursor)
        records: list[Record] = []
        while len(records) < limit and start < len(ids):
            part = ids[start : start + min(limit - len(records), IDS)]
            for found in self._rows.parts(part, condition=condition):
                records += sorted(found, key=lambda record: record.id)
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


def _info(found: Any) -> CollectionInfo | None:
    kept = found.metadata or {}
    if _INFO + "name" not in kept:
        return None
    name, dim, metric, fingerprint = (kept[_INFO + key] for key in ("name", "dim", "metric", "fingerprint"))
    return CollectionInfo(name, dim, metric, fingerprint)
