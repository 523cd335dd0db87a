"""What goes wrong in Qdrant, as errors of embedkit that say what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import grpc
import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from embedkit.stores import CollectionNotFoundError, StoreError, TransientStoreError, http_error, translated_errors

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""The HTTP status of each status of gRPC (google.rpc.Code); 500 for the others."""


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever the block raises into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error)


def _error(what: str, error: Exception) -> StoreError:
    if isinstance(error, ResourceExhaustedResponse):
        return http_error(what, 429, str(error), {"retry-after": str(error.retry_after_s)})
    if isinstance(error, UnexpectedResponse | grpc.RpcError):
        status = status_of(error)
        headers: Mapping[str, str]
        if isinstance(error, UnexpectedResponse):
            detail, headers = error.content.decode("utf-8", "replace"), error.headers
        else:
            detail = f"{error.code().name}: {error.details()}"
            headers = {str(key): str(value) for key, value in error.trailing_metadata() or ()}
        if status == 404:
            return CollectionNotFoundError(f"{what}: {detail}; it was dropped meanwhile: open or create it anew")
        return http_error(what, status, detail, headers)
    source = error.source if isinstance(error, ResponseHandlingException) else error
    if isinstance(source, httpx.TransportError | QdrantException):
        return TransientStoreError(
            f"{what}: the connection failed or was refused ({source}); look whether the server runs, and try again"
        )
    if isinstance(error, ValueError) and "not found" in str(error):
        return CollectionNotFoundError(f"{what}: {error}; it was dropped meanwhile: open or create it anew")
    hint = "; close the other store first, or use a Qdrant server" if "already accessed" in str(error) else ""
    return StoreError(f"{what}: Qdrant refused: {type(source).__name__}: {source}{hint}")


def status_of(error: Any) -> int:
    """The HTTP status of an answer by either way."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code or 500
    text = error.details() or ""
    if "already exists" in text:
        return 409
    if "larger than max" in text or "too large" in text:
        return 413
    return _STATUS.get(error.code(), 500)
