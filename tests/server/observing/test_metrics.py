"""The page for Prometheus, read by its own parser."""

from __future__ import annotations

import pytest

from embedkit import Encoder
from helpers.served import Served, quiet, served


def values(server: Served) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    parser = pytest.importorskip("prometheus_client.parser")
    page = server.ask("/metrics").data.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_what_is_counted(encoder: Encoder) -> None:
    with served({"tiny": encoder}, quiet(max_body=1000)) as server:
        server.ask("/v1/embeddings", {"input": ["tea", "x" * 300]})
        server.ask("/v1/embeddings", {"input": ["rain"], "role": "query"})
        server.ask("/v1/embeddings", {"input": []})
        server.ask("/v1/embeddings", {"input": ["x" * 2000]})
        server.ask("/secret-path-of-a-client")
        found = values(server)

    def value(name: str, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    route = {"route": "/v1/embeddings"}
    assert value("embedkit_requests_total", **route, model="tiny", code="200") == 2
    assert value("embedkit_requests_total", **route, model="tiny", code="400") == 1
    assert value("embedkit_requests_total", route="unknown", model="", code="404") == 1
    assert value("embedkit_request_seconds_count", **route) == 4
    assert value("embedkit_texts_total", model="tiny", role="default") == 2
    assert value("embedkit_tokens_total", model="tiny", role="default") == 5 + 64
    assert value("embedkit_texts_total", model="tiny", role="query") == 1
    assert value("embedkit_truncated_texts_total", model="tiny") == 1
    assert value("embedkit_rejected_total", reason="too_large") == 1
    assert value("embedkit_batch_texts_count", model="tiny") == 2
    assert value("embedkit_batch_tokens_sum", model="tiny") == 5 + 64 + 6
    assert value("embedkit_queue_seconds_count", model="tiny") == 2
    assert value("embedkit_waiting_texts", model="tiny") == value("embedkit_running_batches", model="tiny") == 0
    assert value("embedkit_tokenize_seconds_total", model="tiny") > 0
    assert value("embedkit_worker_restarts_total", model="tiny") == 0
    assert value("embedkit_ready") == 1
    info = [dict(labels) for name, labels in found if name == "embedkit_model_info"]
    assert [(one["model"], one["fingerprint"]) for one in info] == [("tiny", encoder.fingerprint)]
    assert not any("secret" in str(labels) for _, labels in found)
