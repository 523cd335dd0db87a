"""Spans: of a request, of its waiting and of its work, going on from the client's own."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from embedkit import Encoder
from embedkit.server import create_app
from embedkit.server.observing.tracing import Tracing, tracing_of_environment
from embedkit.server.service import Service
from helpers.served import catalogue_of, quiet

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_spans(encoder: Encoder) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra otel is not installed")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    provider, spans = trace.TracerProvider(), memory.InMemorySpanExporter()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    service = Service(catalogue_of({"tiny": encoder}, quiet()), quiet())
    with TestClient(create_app(service, tracing=Tracing(provider))) as client:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        client.post("/v1/embeddings", json={"input": "private"}, headers=headers)
        queue, encode, whole = spans.get_finished_spans()
    assert [span.name for span in (queue, encode, whole)] == ["queue", "encode", "/v1/embeddings"]
    assert format(whole.context.trace_id, "032x") == TRACE
    assert format(whole.parent.span_id, "016x") == "b7ad6b7169203331"
    assert {span.parent.span_id for span in (queue, encode)} == {whole.context.span_id}
    assert (
        whole.start_time <= queue.start_time <= queue.end_time == encode.start_time <= encode.end_time == whole.end_time
    )
    wanted = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "tiny",
        "gen_ai.usage.input_tokens": 9,
        "http.response.status_code": 200,
    }
    assert {name: whole.attributes[name] for name in wanted} == wanted
    assert "private" not in str(whole.to_json())


def test_it_is_off_unless_an_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert tracing_of_environment() is None
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    made = tracing_of_environment()
    assert made is not None
    made.close()
