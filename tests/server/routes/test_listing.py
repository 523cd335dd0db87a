"""What is served, and how the server is."""

from __future__ import annotations

from embedkit import Encoder
from helpers.served import Served


def test_models(server: Served, encoders: dict[str, Encoder]) -> None:
    got = server.ask("/v1/models").json
    assert got == server.ask("/models").json
    names = [one["id"] for one in got["data"]]
    assert names[:5] == ["tiny", "rank", "classes", "pictures", "text-embedding-3-small"]
    assert {"tiny:query", "tiny:document", "text-embedding-3-small:query", "pictures:image"} <= set(names)
    assert not any(name.startswith(("rank:", "classes:")) for name in names)
    tiny = got["data"][0]
    encoder = encoders["tiny"]
    wanted = {
        "object": "model",
        "owned_by": "embedkit",
        "kind": "dense",
        "dim": 8,
        "max_tokens": 64,
        "fingerprint": encoder.fingerprint,
        "variant": "fp32",
        "engine": encoder.engine,
        "roles": ["default", "query", "document"],
    }
    assert {name: tiny[name] for name in wanted} == wanted
    assert isinstance(tiny["created"], int)


def test_one_model(server: Served) -> None:
    for name in ("tiny", "tiny:query", "text-embedding-3-small"):
        got = server.ask(f"/v1/models/{name}")
        assert (got.status, got.json["id"]) == (200, name)
    got = server.ask("/v1/models/nobody")
    assert (got.status, got.json["error"]["code"]) == (404, "model_not_found")


def test_health(server: Served) -> None:
    for path in ("/health", "/ping", "/ready"):
        assert server.ask(path).status == 200
    assert b"embedkit_ready 1.0" in server.ask("/metrics").data


def test_before_it_is_ready_and_while_it_drains(encoder: Encoder) -> None:
    from starlette.testclient import TestClient

    from embedkit.server import create_app
    from embedkit.server.service import Service
    from helpers.served import catalogue_of, quiet

    service = Service(catalogue_of({"tiny": encoder}, quiet()), quiet())
    client = TestClient(create_app(service))
    assert client.get("/health").status_code == 200
    assert (client.get("/ready").status_code, client.get("/ready").headers["retry-after"]) == (503, "1")
    with client:
        assert client.get("/ready").status_code == 200
        service.draining = True
        assert client.get("/ready").status_code == 503
        answer = client.post("/v1/embeddings", json={"input": "a"})
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
