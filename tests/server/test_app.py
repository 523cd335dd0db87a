"""The application: routes, what they answer to the wrong method, and pages of other origins."""

from __future__ import annotations

from embedkit import Encoder
from helpers.served import Served, quiet, served


def test_unknown_routes_and_methods(server: Served) -> None:
    got = server.ask("/v1/nothing")
    assert (got.status, got.json["error"]["type"]) == (404, "not_found_error")
    got = server.ask("/v1/embeddings")
    assert (got.status, got.headers["allow"]) == (405, "POST")
    assert server.ask("/v1/models", {}).status == 405


def test_other_origins(encoder: Encoder, lone: Served) -> None:
    asked = {
        "origin": "https://example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    assert "access-control-allow-origin" not in lone.ask("/v1/embeddings", method="OPTIONS", headers=asked).headers
    with served({"tiny": encoder}, quiet(cors=("https://example.org",), keys=("k",))) as server:
        got = server.ask("/v1/embeddings", method="OPTIONS", headers=asked)
        assert (got.status, got.headers["access-control-allow-origin"]) == (200, "https://example.org")
        assert "access-control-allow-credentials" not in got.headers
        got = server.ask(
            "/v1/embeddings", {"input": "a"}, headers={"origin": "https://example.org", "authorization": "Bearer k"}
        )
        assert "x-request-id" in got.headers["access-control-expose-headers"]
        other = server.ask("/health", headers={"origin": "https://other.org"})
        assert "access-control-allow-origin" not in other.headers


def test_metrics_may_have_a_port_of_their_own(encoder: Encoder) -> None:
    with served({"tiny": encoder}, quiet(metrics_apart=True)) as server:
        assert server.ask("/metrics").status == 404
        assert "/metrics" not in server.ask("/openapi.json").json["paths"]
