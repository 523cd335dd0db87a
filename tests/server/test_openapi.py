"""The document of the routes: whole, and true of what the server takes."""

from __future__ import annotations

import pytest

from embedkit.server.openapi import openapi_of
from embedkit.server.routes.embeddings import EmbeddingsBody, answer_embeddings
from helpers.served import Served


def test_every_route_is_in_it(server: Served) -> None:
    got = server.ask("/openapi.json")
    assert got.status == 200
    document = got.json
    wanted = {
        "/v1/embeddings", "/embeddings", "/v1/models", "/v1/models/{id}", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/score", "/v1/classify",
        "/embed", "/embed_all", "/embed_sparse", "/similarity", "/predict", "/tokenize", "/decode", "/info", "/v2/embed", "/v1/embed", "/health",
        "/ready", "/ping", "/metrics", "/", "/v1/collections/{name}/search", "/v1/collections/{name}/documents",
    }  # fmt: skip
    assert wanted <= set(document["paths"])
    for path, methods in document["paths"].items():
        ((method, operation),) = methods.items()
        assert operation["summary"], path
        if "{" not in path:
            status = server.ask(path, {} if method == "post" else None).status
            assert status not in (404, 405, 500), path


def test_the_schemas_are_valid_and_say_what_is_taken(server: Served) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="it comes with other packages of the dev extra")
    document = server.ask("/openapi.json").json
    body = document["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = {**body, "components": document["components"]}
    for one in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(one)
    jsonschema.validate({"input": ["a"], "model": "tiny", "dimensions": None, "more": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"input": "a", "model": 7}, schema)


def test_keys_are_told_of() -> None:
    entries = [
        ("/v1/embeddings", answer_embeddings, EmbeddingsBody, "openai"),
        ("/health", answer_embeddings, None, "openai"),
    ]
    document = openapi_of(entries, ["/health"], keys=True)  # type: ignore[arg-type]
    assert document["security"] == [{"key": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "security" not in openapi_of(entries, ["/health"], keys=False)  # type: ignore[arg-type]
