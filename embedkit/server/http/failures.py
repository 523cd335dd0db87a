"""Requests that are refused, in the words and the envelope of each family of clients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from embedkit.errors import (
    ClosedError,
    CollectionMismatchError,
    CollectionNotFoundError,
    DeadlineError,
    EmbedkitError,
    InputError,
    OverloadedError,
    StoreError,
    TransientStoreError,
    WorkerError,
)

Dialect: TypeAlias = Literal["openai", "tei"]
"""Whose envelope an error has: OpenAI's (which Cohere's and Jina's clients show too), or that of text-embeddings-inference."""

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
_TEI_TYPES = {429: "overloaded", 503: "unhealthy", 500: "backend", 504: "backend"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "service_unavailable", 504: "deadline_exceeded"}


class Refusal(EmbedkitError, ValueError):
    """A request that gets the HTTP ``status``; ``param`` names the field that is meant, and ``code`` says why in a word."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        tei_type: str | None = None,
    ) -> None:
        self.status, self.param, self.code = status, param, code or _CODES.get(status)
        self.headers, self.tei_type = dict(headers or {}), tei_type
        super().__init__(message)

    def body(self, dialect: Dialect) -> bytes:
        """The answer's JSON."""
        if dialect == "tei":
            kind = self.tei_type or _TEI_TYPES.get(self.status, "validation")
            return msgspec.json.encode({"error": str(self), "error_type": kind})
        kind = _TYPES.get(self.status, "invalid_request_error")
        about = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": about})

    def status_for(self, dialect: Dialect) -> int:
        """The status in a dialect: what is wrong with the content of a request is 422 for TEI's clients."""
        return 422 if dialect == "tei" and self.status == 400 and self.tei_type != "empty" else self.status


def refusal_of(error: Exception, request_id: str) -> Refusal:
    """What a client is told of an error: its own faults in words, those of the server by the request's id alone."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, OverloadedError):
        return Refusal(429, str(error), headers=retry_headers(error.retry_after or 1.0))
    if isinstance(error, DeadlineError):
        return Refusal(504, str(error))
    if isinstance(error, ClosedError | WorkerError):
        return Refusal(503, "the server is short of workers or about to end; try again", headers=retry_headers(1.0))
    if isinstance(error, TransientStoreError):
        return Refusal(503, f"the store: {error}", headers=retry_headers(error.retry_after or 1.0))
    if isinstance(error, CollectionNotFoundError):
        return Refusal(404, str(error), param="name", code="collection_not_found")
    if isinstance(error, InputError):
        return Refusal(400, str(error), param="dimensions" if str(error).startswith("dim: ") else None)
    if isinstance(error, StoreError) and isinstance(error, ValueError):
        return Refusal(400, str(error), param="filter")
    if isinstance(error, CollectionMismatchError):
        return Refusal(409, str(error), code="collection_mismatch")
    if isinstance(error, StoreError):
        return Refusal(502, f"the store: {error}", code="store_failed")
    return Refusal(500, f"the server failed; its log tells why, at the request {request_id}")


def retry_headers(seconds: float) -> dict[str, str]:
    """When to come again."""
    return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}
