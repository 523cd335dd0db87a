"""The store over a Qdrant client.

Qdrant's ids are integers or UUIDs, so a point's id is the uuid5 of the row's, which the payload keeps. Distance is
DOT under cosine too, because COSINE would give normalised vectors back. What can be filtered on lies under one key of
the payload, with names made safe for Qdrant's paths; the lossless metadata lies beside it as JSON text.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import httpx
import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from embedkit.errors import CollectionNotFoundError, EmbedkitError, StoreError, TransientStoreError
from embedkit.filters import Combine, Compare, Filter, Not, Scalar
from embedkit.naming import safe_name
from embedkit.network import http_error
from embedkit.records import (
    FloatArray,
    Hit,
    Page,
    Record,
    RecordBatch,
    WriteResult,
    dump_metadata,
    filterable,
    load_metadata,
)
from embedkit.store import CollectionInfo, CollectionSpec

from . import CAPABILITIES, FOLDER, SERVER

_Condition: TypeAlias = (
    models.FieldCondition
    | models.IsEmptyCondition
    | models.IsNullCondition
    | models.HasIdCondition
    | models.HasVectorCondition
    | models.SliceCondition
    | models.NestedCondition
    | models.Filter
)

_INFO = "embedkit"
_SECONDS = 60
_ROW_IDS = uuid.UUID("6f0a4e5c-6f1e-5c3a-9b1d-0e4b1d7a2c55")
_PAYLOAD = ["id", "text", "hash", "metadata"]
_OTHER = {"other": True}
"""Stands for a value that is no scalar: Qdrant takes an empty list for a missing field."""


def open_folder(path: str | None) -> QdrantStore:
    """The store in a folder, which is made if it is not there, or in memory."""
    with _errors(f"opening the folder {path!r}"):
        client = QdrantClient(path=path, force_disable_check_same_thread=True) if path else QdrantClient(":memory:")
    return QdrantStore(client, server=False)


def open_server(address: str, *, api_key: str | None) -> QdrantStore:
    """The store on a server."""
    with _errors(f"opening the server {address}"):
        client = QdrantClient(url=address, api_key=api_key, timeout=_SECONDS, check_compatibility=False)
    return QdrantStore(client, server=True)


class QdrantStore:
    """A `embedkit.store.VectorStore` over a Qdrant client."""

    def __init__(self, client: QdrantClient, *, server: bool) -> None:
        self._client = client
        self.caps = CAPABILITIES[SERVER if server else FOLDER]

    def ensure(self, spec: CollectionSpec) -> QdrantCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        key = safe_name(spec.name)
        info = {"name": spec.name, "dim": spec.dim, "metric": spec.metric, "fingerprint": spec.fingerprint}
        distance = models.Distance.EUCLID if spec.metric == "euclidean" else models.Distance.DOT
        vectors = models.VectorParams(size=spec.dim, distance=distance)
        with _errors(f"creating the collection {spec.name!r}"):
            try:
                self._client.create_collection(key, vectors_config=vectors, metadata={_INFO: info})
            except UnexpectedResponse as error:
                if error.status_code != 409:
                    raise
        return self.open(spec.name)

    def open(self, name: str) -> QdrantCollection:
        """Open the collection, which embedkit must have made."""
        key = safe_name(name)
        with _errors(f"opening the collection {name!r}"):
            if not self._client.collection_exists(key):
                raise CollectionNotFoundError(f"no collection {name!r}; there are: {', '.join(self.names()) or 'none'}")
            info = self._info(key)
        if info is None:
            raise StoreError(
                f"the Qdrant collection {key!r} was not made by embedkit, or its server is older than 1.16 and forgets "
                f"what it was made for; choose another name than {name!r}, or a newer server"
            )
        return QdrantCollection(self._client, key, info)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        with _errors("listing the collections"):
            infos = [self._info(found.name) for found in self._client.get_collections().collections]
        return sorted(info.name for info in infos if info)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        with _errors(f"dropping the collection {name!r}"):
            self._client.delete_collection(safe_name(name))

    def close(self) -> None:
        """Release the client, and a folder's lock."""
        self._client.close()

    def _info(self, key: str) -> CollectionInfo | None:
        kept = (self._client.get_collection(key).config.metadata or {}).get(_INFO)
        return (
            CollectionInfo(kept["name"], kept["dim"], kept["metric"], kept["fingerprint"])
            if isinstance(kept, dict)
            else None
        )


class QdrantCollection:
    """A `embedkit.store.Collection` over a Qdrant collection."""

    def __init__(self, client: QdrantClient, key: str, info: CollectionInfo) -> None:
        self.info = info
        self._client, self._key = client, key

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows; returns when the server has applied them."""
        columns = zip(batch.ids, batch.vectors.tolist(), batch.texts, batch.metadata, batch.hashes, strict=True)
        points = [
            models.PointStruct(
                id=_point(row_id),
                vector=vector,
                payload={
                    "id": row_id,
                    "text": text,
                    "hash": digest,
                    "metadata": dump_metadata(metadata),
                    "fields": {
                        _field(key): _OTHER if isinstance(value, list) else value
                        for key, value in filterable(metadata).items()
                    },
                },
            )
            for row_id, vector, text, metadata, digest in columns
        ]
        with _errors(f"writing {len(points)} rows to {self.info.name!r}"):
            self._client.upsert(self._key, points=points, wait=True)
        return WriteResult(len(points))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        if not ids:
            return []
        with _errors(f"reading from {self.info.name!r}"):
            points = [_point(row_id) for row_id in ids]
            found = self._client.retrieve(self._key, ids=points, with_payload=_PAYLOAD, with_vectors=with_vectors)
        return [_record(point) for point in found]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        if not ids:
            return {}
        with _errors(f"reading hashes from {self.info.name!r}"):
            found = self._client.retrieve(
                self._key, ids=[_point(row_id) for row_id in ids], with_payload=["id", "hash"]
            )
        return {point.payload["id"]: point.payload["hash"] for point in found if point.payload}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number of such rows that there were."""
        if ids is not None and not ids:
            return 0
        which = (
            _filter(filter)
            if ids is None
            else models.Filter(must=[models.HasIdCondition(has_id=[_point(row_id) for row_id in ids])])
        )
        assert which is not None
        with _errors(f"deleting from {self.info.name!r}"):
            count = self._client.count(self._key, count_filter=which, exact=True).count
            if count:
                self._client.delete(self._key, points_selector=models.FilterSelector(filter=which), wait=True)
        return count

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows; Qdrant's DOT score is the score, its EUCLID one the distance."""
        sign = -1.0 if self.info.metric == "euclidean" else 1.0
        asked = [
            models.QueryRequest(query=vector, filter=_filter(filter), limit=k, with_payload=["id", "text", "metadata"])
            for vector in vectors.tolist()
        ]
        with _errors(f"searching {self.info.name!r}"):
            found = self._client.query_batch_points(self._key, requests=asked)
        return [[_hit(point, sign) for point in answer.points] for answer in found]

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their point ids."""
        with _errors(f"reading from {self.info.name!r}"):
            found, after = self._client.scroll(
                self._key, scroll_filter=_filter(filter), offset=cursor, limit=limit, with_payload=_PAYLOAD
            )
        return Page([_record(point) for point in found], None if after is None else str(after))

    def count(self, filter: Filter | None = None) -> int:
        """The exact number of rows that satisfy ``filter``."""
        with _errors(f"counting {self.info.name!r}"):
            return self._client.count(self._key, count_filter=_filter(filter), exact=True).count

    def flush(self) -> None:
        """Every write waits until it is applied, so there is nothing to do."""


def _point(row_id: str) -> str:
    return str(uuid.uuid5(_ROW_IDS, row_id))


def _record(point: models.Record) -> Record:
    kept: dict[str, Any] = point.payload or {}
    vector = None if point.vector is None else np.asarray(point.vector, dtype=np.float32)
    return Record(kept["id"], kept["text"], load_metadata(kept["metadata"]), kept["hash"], vector)


def _hit(point: models.ScoredPoint, sign: float) -> Hit:
    kept: dict[str, Any] = point.payload or {}
    return Hit(kept["id"], sign * point.score, kept["text"], load_metadata(kept["metadata"]))


def _field(key: str) -> str:
    """``key`` as one step of a payload path, which is bare where it holds letters, digits, ``_`` and ``-`` only."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"-{ord(found[0]):x}-", key)


def _filter(expression: Filter | None) -> models.Filter | None:
    return None if expression is None else models.Filter(must=[_condition(expression)])


def _condition(expression: Filter) -> _Condition:
    if isinstance(expression, Combine):
        parts = [_condition(part) for part in expression.parts]
        return models.Filter(must=parts) if expression.op == "and" else models.Filter(should=parts)
    if isinstance(expression, Not):
        return models.Filter(must_not=[_condition(expression.part)])
    assert isinstance(expression, Compare)
    key, value = f"fields.{_field(expression.field)}", expression.value
    if expression.op == "none":
        return models.IsNullCondition(is_null=models.PayloadField(key=key))
    if expression.op == "exists":
        present = models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])
        return models.Filter(should=[present, models.IsNullCondition(is_null=models.PayloadField(key=key))])
    if expression.op in ("in", "not in"):
        assert isinstance(value, tuple)
        any_of = models.Filter(should=_any_of(key, value))
        return any_of if expression.op == "in" else models.Filter(must_not=[any_of])
    assert not isinstance(value, tuple)
    if expression.op in ("==", "!="):
        return _equal(key, value) if expression.op == "==" else models.Filter(must_not=[_equal(key, value)])
    bound = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}[expression.op]
    return models.FieldCondition(key=key, range=models.Range.model_validate({bound: value}))


def _any_of(key: str, values: tuple[Scalar, ...]) -> list[_Condition]:
    texts = [value for value in values if isinstance(value, str)]
    integers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    out: list[_Condition] = [_equal(key, value) for value in values if isinstance(value, bool | float)]
    out += [models.FieldCondition(key=key, match=models.MatchAny(any=listed)) for listed in (texts, integers) if listed]
    return out


def _equal(key: str, value: Scalar) -> _Condition:
    if isinstance(value, float):  # Qdrant's exact match knows no floats
        return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


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
    if isinstance(error, ResourceExhaustedResponse):
        return http_error(what, 429, str(error), {"retry-after": str(error.retry_after_s)})
    if isinstance(error, UnexpectedResponse):
        detail = error.content.decode("utf-8", "replace")
        if error.status_code == 404:
            return CollectionNotFoundError(f"{what}: {detail}; it was dropped meanwhile: open or create it anew")
        return http_error(what, error.status_code or 500, detail, error.headers)
    source = error.source if isinstance(error, ResponseHandlingException) else error
    if isinstance(source, httpx.TransportError | QdrantException):
        return TransientStoreError(
            f"{what}: the connection failed or was refused ({source}); look whether the server runs, and try again"
        )
    if isinstance(error, ValueError) and "not found" in str(error):
        return CollectionNotFoundError(f"{what}: {error}; it was dropped meanwhile: open or create it anew")
    hint = "; close the other store first, or use a Qdrant server" if "already accessed" in str(error) else ""
    return StoreError(f"{what}: Qdrant refused: {type(source).__name__}: {source}{hint}")
