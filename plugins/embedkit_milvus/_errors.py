"""What goes wrong in Milvus, as errors of embedkit that say what to do next."""

from __future__ import annotations

from contextlib import AbstractContextManager

import grpc
from pymilvus.exceptions import MilvusException

from embedkit.stores import CollectionNotFoundError, StoreError, TransientStoreError, translated_errors

_UNANSWERED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, 2}
_NOT_ALLOWED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_OVERLOADED = {8, 9}
_NO_COLLECTION = {4, 100}
_NOT_LOADED = {101}


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever the block raises into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error)


def _error(what: str, error: Exception) -> StoreError:
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
