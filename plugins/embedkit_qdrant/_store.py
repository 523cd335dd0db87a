"""The store over a Qdrant client.

Distance is DOT under cosine too, because COSINE would give normalised vectors back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from embedkit.stores import (
    CollectionInfo,
    CollectionNotFoundError,
    CollectionSpec,
    Filter,
    FloatArray,
    Hit,
    Keeping,
    MultiVectors,
    Page,
    Record,
    RecordBatch,
    Scalar,
    SparseVectors,
    StoreError,
    WriteResult,
    request_seconds,
    safe_name,
)

from . import CAPABILITIES, FOLDER, SERVER
from ._errors import status_of, translated
from .points import (
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

_INFO = "embedkit"


def open_folder(path: str | None) -> QdrantStore:
    """The store in a folder, which is made if it is not there, or in memory."""
    with translated(f"opening the folder {path!r}"):
        client = QdrantClient(path=path, force_disable_check_same_thread=True) if path else QdrantClient(":memory:")
    return QdrantStore(client, server=False)


def open_server(address: str, *, api_key: str | None) -> QdrantStore:
    """The store on a server."""
    with translated(f"opening the server {address}"):
        client = QdrantClient(
            url=address, api_key=api_key, timeout=math.ceil(request_seconds()), check_compatibility=False
        )
    return QdrantStore(client, server=True)


def open_grpc(host: str, port: int, *, secure: bool, api_key: str | None) -> QdrantStore:
    """The store on a server, by gRPC."""
    with translated(f"opening the server {host}:{port}"):
        client = QdrantClient(
            host=host,
            grpc_port=port,
            prefer_grpc=True,
            https=secure,
            api_key=api_key,
            timeout=math.ceil(request_seconds()),
            check_compatibility=False,
        )
    return QdrantStore(client, server=True)


class QdrantStore:
    """A `embedkit.stores.contract.VectorStore` over a Qdrant client."""

    def __init__(self, client: QdrantClient, *, server: bool) -> None:
        self._client = client
        self.caps = CAPABILITIES[SERVER if server else FOLDER]

    def ensure(self, spec: CollectionSpec) -> QdrantCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        key = safe_name(spec.name)
        info = asdict(CollectionInfo.of(spec))
        with translated(f"creating the collection {spec.name!r}"):
            try:
                self._client.create_collection(key, metadata={_INFO: info}, **_vectors_config(spec))
            except (UnexpectedResponse, grpc.RpcError) as error:  # another process may have made it meanwhile
                if status_of(error) != 409:
                    raise
        return self.open(spec.name)

    def open(self, name: str) -> QdrantCollection:
        """Open the collection, which embedkit must have made."""
        key = safe_name(name)
        with translated(f"opening the collection {name!r}"):
            if not self._client.collection_exists(key):
                raise CollectionNotFoundError(f"no collection {name!r}")
            info = self._info(key)
        if info is None:
            raise StoreError(
                f"the Qdrant collection {key!r} was not made by embedkit, or its server is older than 1.16 and forgets "
                f"what it was made for; choose another name than {name!r}, or a newer server"
            )
        return QdrantCollection(self._client, key, info)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        with translated("listing the collections"):
            infos = [self._info(found.name) for found in self._client.get_collections().collections]
        return sorted(info.name for info in infos if info)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""
        with translated(f"dropping the collection {name!r}"):
            self._client.delete_collection(safe_name(name))

    def close(self) -> None:
        """Release the client, and a folder's lock."""
        self._client.close()

    def _info(self, key: str) -> CollectionInfo | None:
        kept = (self._client.get_collection(key).config.metadata or {}).get(_INFO)
        return CollectionInfo(**kept) if isinstance(kept, dict) else None


def _vectors_config(spec: CollectionSpec) -> dict[str, Any]:
    distance = models.Distance.EUCLID if spec.metric == "euclidean" else models.Distance.DOT
    dense = models.VectorParams(size=spec.dim, distance=distance, **_kept(spec.keeping)) if spec.dim else None
    if not has_names(spec):
        return {"vectors_config": dense}
    named = {DENSE: dense} if dense else {}
    if spec.multivector:
        together = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        named[SEVERAL] = models.VectorParams(
            size=spec.multivector, distance=models.Distance.DOT, multivector_config=together
        )
    sparse = {SPARSE: models.SparseVectorParams()} if spec.sparse else None
    return {"vectors_config": named, "sparse_vectors_config": sparse}


def _kept(keeping: Keeping) -> dict[str, Any]:
    """How the server keeps dense vectors, beside what it does by itself."""
    given: dict[str, Any] = {}
    if keeping.precision == "float16":
        given["datatype"] = models.Datatype.FLOAT16
    elif keeping.precision == "int8+full":
        few = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        given["quantization_config"] = models.ScalarQuantization(scalar=few)
    elif keeping.precision == "binary+full":
        given["quantization_config"] = models.BinaryQuantization(
            binary=models.BinaryQuantizationConfig(always_ram=True)
        )
    settings = dict(keeping.index)
    if settings:
        given["hnsw_config"] = models.HnswConfigDiff(m=settings.get("m"), ef_construct=settings.get("ef"))
    return given


class QdrantCollection:
    """A `embedkit.stores.contract.Collection` over a Qdrant collection."""

    def __init__(self, client: QdrantClient, key: str, info: CollectionInfo) -> None:
        self.info = info
        self._client, self._key = client, key

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows; returns when the server has applied them."""
        columns = zip(batch.ids, vectors(batch, _sparse), payloads(batch), strict=True)
        points = [
            models.PointStruct(id=point_id(row_id), vector=vector, payload=payload)
            for row_id, vector, payload in columns
        ]
        with translated(f"writing {len(points)} rows to {self.info.name!r}"):
            self._client.upsert(self._key, points=points, wait=True)
        return WriteResult(len(points))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        if not ids:
            return []
        with translated(f"reading from {self.info.name!r}"):
            points = [point_id(row_id) for row_id in ids]
            found = self._client.retrieve(self._key, ids=points, with_payload=PAYLOAD, with_vectors=with_vectors)
        return [record(point, self.info) for point in found]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        if not ids:
            return {}
        with translated(f"reading hashes from {self.info.name!r}"):
            found = self._client.retrieve(
                self._key, ids=[point_id(row_id) for row_id in ids], with_payload=["id", "hash"]
            )
        return {point.payload["id"]: point.payload["hash"] for point in found if point.payload}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter; the number of such rows that there were."""
        if ids is not None and not ids:
            return 0
        which = (
            _filter(filter) if ids is None else models.Filter(must=[_MODELS.ids([point_id(row_id) for row_id in ids])])
        )
        assert which is not None
        with translated(f"deleting from {self.info.name!r}"):
            count = self._client.count(self._key, count_filter=which, exact=True).count
            if count:
                self._client.delete(self._key, points_selector=models.FilterSelector(filter=which), wait=True)
        return count

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows; Qdrant's DOT score is the score, its EUCLID one the distance."""
        sign = -1.0 if self.info.metric == "euclidean" else 1.0
        return self._query(vectors.tolist(), DENSE if has_names(self.info) else None, k, filter, sign)

    def query_sparse(self, vectors: SparseVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest dot product, of those that share a number."""
        full = [i for i, (indices, _) in enumerate(vectors) if len(indices)]
        out: list[list[Hit]] = [[] for _ in range(len(vectors))]
        asked = [_sparse(*(part.tolist() for part in vectors[i])) for i in full]
        for i, hits in zip(full, self._query(asked, SPARSE, k, filter) if full else [], strict=True):
            out[i] = hits
        return out

    def query_multivector(self, vectors: MultiVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` rows with the largest MaxSim."""
        return self._query([several.tolist() for several in vectors], SEVERAL, k, filter)

    def _query(
        self, vectors: Sequence[Any], using: str | None, k: int, filter: Filter | None, sign: float = 1.0
    ) -> list[list[Hit]]:
        params = self._params() if using in (None, DENSE) else None
        asked = [
            models.QueryRequest(
                query=vector,
                using=using,
                filter=_filter(filter),
                limit=k,
                params=params,
                with_payload=["id", "text", "metadata"],
            )
            for vector in vectors
        ]
        with translated(f"searching {self.info.name!r}"):
            found = self._client.query_batch_points(self._key, requests=asked)
        return [[hit(point, sign) for point in answer.points] for answer in found]

    def _params(self) -> models.SearchParams | None:
        keeping = self.info.keeping
        if not keeping.wants_index:
            return None
        few = None
        if keeping.precision in OVERSAMPLING:
            few = models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING[keeping.precision])
        return models.SearchParams(hnsw_ef=dict(keeping.index).get("search"), quantization=few)

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their point ids."""
        offset = check_offset(cursor)
        with translated(f"reading from {self.info.name!r}"):
            found, after = self._client.scroll(
                self._key, scroll_filter=_filter(filter), offset=offset, limit=limit, with_payload=PAYLOAD
            )
        return Page([record(point, self.info) for point in found], None if after is None else str(after))

    def count(self, filter: Filter | None = None) -> int:
        """The exact number of rows that satisfy ``filter``."""
        with translated(f"counting {self.info.name!r}"):
            return self._client.count(self._key, count_filter=_filter(filter), exact=True).count

    def flush(self) -> None:
        """Every write waits until it is applied, so there is nothing to do."""


def _sparse(indices: list[int], values: list[float]) -> models.SparseVector:
    return models.SparseVector(indices=indices, values=values)


class _Models:
    """Conditions of qdrant_client."""

    def all_of(self, parts: list[Any]) -> Any:
        return models.Filter(must=parts)

    def any_of(self, parts: list[Any]) -> Any:
        return models.Filter(should=parts)

    def none_of(self, parts: list[Any]) -> Any:
        return models.Filter(must_not=parts)

    def ids(self, ids: list[str]) -> Any:
        return models.HasIdCondition(has_id=list(ids))

    def is_null(self, key: str) -> Any:
        return models.IsNullCondition(is_null=models.PayloadField(key=key))

    def is_empty(self, key: str) -> Any:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))

    def equal(self, key: str, value: Scalar) -> Any:
        if isinstance(value, float):  # exact match knows no floats
            return self.within(key, {"gte": value, "lte": value})
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))

    def among(self, key: str, values: list[str] | list[int]) -> Any:
        return models.FieldCondition(key=key, match=models.MatchAny(any=values))

    def within(self, key: str, bounds: dict[str, float]) -> Any:
        return models.FieldCondition(key=key, range=models.Range.model_validate(bounds))


def _filter(expression: Filter | None) -> models.Filter | None:
    return None if expression is None else models.Filter(must=[condition(expression, _MODELS)])


_MODELS = _Models()
