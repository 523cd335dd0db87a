"""A stand-in for a Qdrant server by gRPC: its services over a `QdrantClient(":memory:")`, and faults."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as api
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

Fault = tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]


class StandIn:
    """The server's state: ``faults`` maps a method's name to the answers to give instead, each once."""

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.lock = threading.Lock()
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[tuple[str, Any, dict[str, str]]] = []

    # Collections

    def list(self, _: Any) -> Any:
        names = [found.name for found in self.client.get_collections().collections]
        return api.ListCollectionsResponse(collections=[api.CollectionDescription(name=name) for name in names])

    def collection_exists(self, request: Any) -> Any:
        exists = self.client.collection_exists(request.collection_name)
        return api.CollectionExistsResponse(result=api.CollectionExists(exists=exists))

    def create(self, request: Any) -> Any:
        if self.client.collection_exists(request.collection_name):
            raise FileExistsError(f"Collection `{request.collection_name}` already exists!")
        self.client.create_collection(
            request.collection_name,
            vectors_config=GrpcToRest.convert_vectors_config(request.vectors_config),
            sparse_vectors_config=GrpcToRest.convert_sparse_vector_config(request.sparse_vectors_config),
            metadata=GrpcToRest.convert_payload(request.metadata),
        )
        return api.CollectionOperationResponse(result=True)

    def drop(self, request: Any) -> Any:
        return api.CollectionOperationResponse(result=self.client.delete_collection(request.collection_name))

    def info(self, request: Any) -> Any:
        found = self.client.get_collection(request.collection_name)
        return api.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(found))

    # Points

    def upsert(self, request: Any) -> Any:
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        for point in points:
            uuid.UUID(str(point.id))
        self.client.upsert(request.collection_name, points=points)
        return _updated(request.wait)

    def delete(self, request: Any) -> Any:
        selected = models.FilterSelector(filter=GrpcToRest.convert_filter(request.points.filter))
        self.client.delete(request.collection_name, selected)
        return _updated(request.wait)

    def get(self, request: Any) -> Any:
        found = self.client.retrieve(
            request.collection_name,
            [GrpcToRest.convert_point_id(point) for point in request.ids],
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            with_vectors=request.with_vectors.enable,
        )
        return api.GetResponse(result=[RestToGrpc.convert_retrieved_point(record) for record in found])

    def scroll(self, request: Any) -> Any:
        found, after = self.client.scroll(
            request.collection_name,
            _filter(request),
            limit=request.limit,
            offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
        )
        next_page = None if after is None else RestToGrpc.convert_extended_point_id(after)
        records = [RestToGrpc.convert_retrieved_point(record) for record in found]
        return api.ScrollResponse(result=records, next_page_offset=next_page)

    def count(self, request: Any) -> Any:
        count = self.client.count(request.collection_name, _filter(request), exact=request.exact).count
        return api.CountResponse(result=api.CountResult(count=count))

    def query_batch(self, request: Any) -> Any:
        asked = [GrpcToRest.convert_query_points(query) for query in request.query_points]
        answers = self.client.query_batch_points(request.collection_name, asked)
        found = [[RestToGrpc.convert_scored_point(point) for point in answer.points] for answer in answers]
        return api.QueryBatchResponse(result=[api.BatchResult(result=points) for points in found])


def _filter(request: Any) -> models.Filter | None:
    return GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None


def _updated(wait: bool) -> Any:
    assert wait
    return api.PointsOperationResponse(result=api.UpdateResult(operation_id=0, status=api.UpdateStatus.Completed))


class _Collections(api.CollectionsServicer):
    pass


class _Points(api.PointsServicer):
    pass


_METHODS = {
    _Collections: {
        "List": "list",
        "CollectionExists": "collection_exists",
        "Create": "create",
        "Delete": "drop",
        "Get": "info",
    },
    _Points: {
        "Upsert": "upsert",
        "Delete": "delete",
        "Get": "get",
        "Scroll": "scroll",
        "Count": "count",
        "QueryBatch": "query_batch",
    },
}


def _answer(state: StandIn, name: str) -> Any:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        state.requests.append((name, request, dict(context.invocation_metadata())))
        if state.faults.get(name):
            code, details, metadata = state.faults[name].pop(0)
            context.set_trailing_metadata(metadata)
            context.abort(code, details)
        try:
            with state.lock:
                return getattr(state, name)(request)
        except FileExistsError as error:
            return context.abort(grpc.StatusCode.ALREADY_EXISTS, str(error))
        except ValueError as error:
            missing = "not found" in str(error)
            code = grpc.StatusCode.NOT_FOUND if missing else grpc.StatusCode.INVALID_ARGUMENT
            return context.abort(code, str(error))

    return answer


@contextmanager
def grpc_stand_in(**options: int) -> Iterator[tuple[StandIn, str]]:
    """A running stand-in and its store URL; ``options`` such as ``max_receive_message_length``."""
    state = StandIn()
    server = grpc.server(ThreadPoolExecutor(4), options=[(f"grpc.{key}", value) for key, value in options.items()])
    services = {}
    for kind, methods in _METHODS.items():
        services[kind] = kind()
        for method, name in methods.items():
            setattr(services[kind], method, _answer(state, name))
    api.add_CollectionsServicer_to_server(services[_Collections], server)
    api.add_PointsServicer_to_server(services[_Points], server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield state, f"qdrant+grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
