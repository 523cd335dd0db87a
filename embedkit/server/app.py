"""The ASGI application: every route, and what holds for all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from .http.call import Call
from .http.endpoint import Endpoint, Reply
from .http.entry import Entry
from .http.failures import Dialect, Refusal
from .http.limits import Limits
from .observing.logs import log_line, write_line
from .observing.tracing import Tracing, tracing_of_environment
from .openapi import openapi_of
from .page import answer_page
from .routes.classes import ClassifyBody, PredictBody, answer_classify, answer_predict
from .routes.cohere import CohereBody, answer_cohere, answer_cohere_first
from .routes.collections import DocumentsBody, SearchBody, answer_documents, answer_search
from .routes.embeddings import EmbeddingsBody, answer_embeddings
from .routes.listing import answer_health, answer_metrics, answer_model, answer_models, answer_ready
from .routes.ranking import RerankBody, ScoreBody, answer_rerank, answer_score
from .routes.tei import (
    EmbedBody,
    SimilarityBody,
    answer_embed,
    answer_embed_all,
    answer_embed_sparse,
    answer_info,
    answer_similarity,
)
from .routes.tokens import DecodeBody, TokenizeBody, answer_decode, answer_tokenize
from .service import TIMEOUT, Service

Answering = Callable[[Service, Call, Any, Mapping[str, str]], Awaitable[Reply]]
Entries = list[tuple[str, Answering, type[msgspec.Struct] | None, Dialect]]

_BOTH: Entries = [
    ("/embeddings", answer_embeddings, EmbeddingsBody, "openai"),
    ("/rerank", answer_rerank, RerankBody, "openai"),
    ("/score", answer_score, ScoreBody, "openai"),
    ("/classify", answer_classify, ClassifyBody, "openai"),
    ("/models", answer_models, None, "openai"),
    ("/models/{id:path}", answer_model, None, "openai"),
]
"""Routes that are there with ``/v1`` before them and without."""
_ONE: Entries = [
    ("/v1/collections/{name}/search", answer_search, SearchBody, "openai"),
    ("/v1/collections/{name}/documents", answer_documents, DocumentsBody, "openai"),
    ("/v2/rerank", answer_rerank, RerankBody, "openai"),
    ("/v2/embed", answer_cohere, CohereBody, "openai"),
    ("/v1/embed", answer_cohere_first, CohereBody, "openai"),
    ("/embed", answer_embed, EmbedBody, "tei"),
    ("/embed_all", answer_embed_all, EmbedBody, "tei"),
    ("/embed_sparse", answer_embed_sparse, EmbedBody, "tei"),
    ("/similarity", answer_similarity, SimilarityBody, "tei"),
    ("/predict", answer_predict, PredictBody, "tei"),
    ("/tokenize", answer_tokenize, TokenizeBody, "tei"),
    ("/decode", answer_decode, DecodeBody, "tei"),
    ("/info", answer_info, None, "tei"),
]
_OPEN: Entries = [
    ("/", answer_page, None, "openai"),
    ("/health", answer_health, None, "openai"),
    ("/ping", answer_health, None, "openai"),
    ("/ready", answer_ready, None, "openai"),
]
"""Routes that need no key."""


def create_app(service: Service, *, warm: bool = True, tracing: Tracing | None = None) -> Starlette:
    """The application of a service. Its models are warmed when it starts unless they are already (``warm`` false), and closed
    when it ends. ``tracing`` is by default that which the environment names."""
    settings = service.settings
    tracing = tracing_of_environment() if tracing is None else tracing
    limits = Limits(settings.keys, settings.max_body, settings.body_timeout, TIMEOUT.set)
    routes = []
    entries = [(prefix + path, *rest) for path, *rest in _BOTH for prefix in ("", "/v1")]
    entries += _ONE if settings.metrics_apart else [*_ONE, ("/metrics", answer_metrics, None, "openai")]
    free = [path for path, *_ in _OPEN]
    document = openapi_of([*entries, *_OPEN], free, keys=bool(settings.keys))

    async def answer_openapi(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
        return Reply(document)

    listed: list[tuple[Any, bool]] = [(entry, False) for entry in entries] + [(entry, True) for entry in _OPEN]
    listed.append((("/openapi.json", answer_openapi, None, "openai"), True))
    for (path, answering, shape, dialect), open in listed:
        endpoint = Endpoint(path, partial(answering, service), shape, limits, dialect=dialect, open=open)
        routes.append(Route(path, endpoint, methods=["GET"] if shape is None else ["POST"], name=path))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if warm and not service.ready:
            await service.warm()
        yield
        for model in service.catalogue.models.values():
            model.queue.abandon()
            await model.close()
        if tracing is not None:
            tracing.close()

    def done(call: Call, scope: Scope) -> None:
        service.metrics.done(call)
        if tracing is not None:
            tracing.done(call, Headers(scope=scope))
        if settings.access_log and call.route not in ("/health", "/ping", "/ready", "/metrics"):
            write_line(log_line(call))

    async def refused(request: HTTPRequest, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {
            404: "there is no such route; see /openapi.json",
            405: "this route takes another method; see /openapi.json",
        }
        refusal = Refusal(error.status_code, words.get(error.status_code, error.detail), headers=error.headers)
        return Response(refusal.body("openai"), error.status_code, refusal.headers, "application/json")

    middleware = [Middleware(Entry, done=done, closing=lambda: service.draining)]
    if settings.cors:
        headers = ["x-request-id", "x-embedkit-truncated", "retry-after", "retry-after-ms"]
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=headers,
            )
        )
    return Starlette(
        routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers={HTTPException: refused}
    )
