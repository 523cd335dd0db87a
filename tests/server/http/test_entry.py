"""The outermost layer: ids, and what is told when a request ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from embedkit.server.http.call import Call
from embedkit.server.http.entry import Entry
from helpers.served import Served


def test_the_id_comes_back(server: Served) -> None:
    assert server.ask("/health", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"
    got = server.ask("/v1/embeddings", {"input": []})
    assert len(got.headers["x-request-id"]) == 32
    assert server.ask("/nothing", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"


def test_a_request_that_fails_is_told_of_too() -> None:
    done: list[Call] = []

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    entry = Entry(fails, lambda call, scope: done.append(call), lambda: False)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(entry({"type": "http", "headers": []}, None, None))  # type: ignore[arg-type]
    assert [call.code for call in done] == [500]
