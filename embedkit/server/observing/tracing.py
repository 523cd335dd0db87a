"""OpenTelemetry: a span for each request, with those of its waiting and its work; on where an endpoint is named."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from embedkit.server.http.call import Call
from embedkit.system.extras import needed

_NANO = 1_000_000_000
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing:
    """Spans of requests that have ended, made of what is known of each (see `Call`); never of a text."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._trace = needed("opentelemetry.trace", "tracing", extra="otel")
        self._propagate = needed("opentelemetry.propagate", "tracing", extra="otel")
        self._tracer = provider.get_tracer("embedkit.server")

    def done(self, call: Call, headers: Mapping[str, str]) -> None:
        """Tell of a request: its span goes on from the ``traceparent`` of its headers."""
        end = time.time_ns()
        start = end - int(call.seconds * _NANO)
        kinds, status = self._trace.SpanKind, self._trace.Status
        parent = self._propagate.extract(dict(headers))
        route = call.route or "unknown"
        attributes: dict[str, Any] = {
            "http.route": route,
            "http.response.status_code": call.code,
            "embedkit.request_id": call.id,
        }
        if call.model:
            attributes |= {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": call.model}
        if call.texts:
            attributes |= {"gen_ai.usage.input_tokens": call.tokens, "embedkit.texts": call.texts}
        span = self._tracer.start_span(
            route, context=parent, kind=kinds.SERVER, start_time=start, attributes=attributes
        )
        if call.code >= 500:
            span.set_status(status(self._trace.StatusCode.ERROR))
        inside = self._trace.set_span_in_context(span)
        begun = end - int(call.computed * _NANO)
        for name, first, last in (("queue", begun - int(call.waited * _NANO), begun), ("encode", begun, end)):
            if call.computed:
                self._tracer.start_span(name, context=inside, start_time=first).end(last)
        span.end(end)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def tracing_of_environment() -> Tracing | None:
    """Tracing to the endpoint that the variables of OpenTelemetry name; None where they name none."""
    if (
        not any(os.environ.get(name) for name in _ENDPOINTS)
        or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    ):
        return None
    sdk = needed("opentelemetry.sdk.trace", "tracing", extra="otel")
    export = needed("opentelemetry.sdk.trace.export", "tracing", extra="otel")
    otlp = needed("opentelemetry.exporter.otlp.proto.http.trace_exporter", "tracing", extra="otel")
    resources = needed("opentelemetry.sdk.resources", "tracing", extra="otel")
    named = "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or "OTEL_SERVICE_NAME" in os.environ
    provider = sdk.TracerProvider(resource=resources.Resource.create({} if named else {"service.name": "embedkit"}))
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    return Tracing(provider)
