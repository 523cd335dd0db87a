"""Keys: in every form that clients send them."""

from __future__ import annotations

import pytest

from embedkit import Encoder
from embedkit.server.http.failures import Refusal
from embedkit.server.http.keys import check_key
from helpers.served import quiet, served

KEYS = ("first", "second")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer first"},
        {"authorization": "bearer second"},
        {"authorization": "first"},
        {"api-key": "second"},
        {"x-api-key": "first"},
        {"authorization": "Bearer wrong", "x-api-key": "first"},
    ],
)
def test_who_is_let_in(headers: dict[str, str]) -> None:
    check_key(headers, KEYS)
    check_key({}, ())
    check_key({"authorization": "Bearer None"}, ())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Bearer firs"},
        {"authorization": "Basic first"},
        {"api-key": "\xff"},
        {"x-api-key": ""},
    ],
)
def test_who_is_not(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        check_key(headers, KEYS)
    assert (caught.value.status, caught.value.headers["www-authenticate"]) == (401, "Bearer")
    assert "first" not in str(caught.value)


def test_which_routes_need_one(encoder: Encoder) -> None:
    with served({"tiny": encoder}, quiet(keys=KEYS)) as server:
        for path in ("/v1/models", "/metrics", "/info"):
            assert server.ask(path).status == 401
            assert server.ask(path, headers={"authorization": "Bearer first"}).status == 200
        for path in ("/health", "/ready", "/ping", "/", "/openapi.json"):
            assert server.ask(path).status == 200
        got = server.ask("/v1/embeddings", {"input": "a"})
        assert (got.status, got.json["error"]["code"]) == (401, "invalid_api_key")
        assert server.ask("/openapi.json").json["security"] == [{"key": []}]
