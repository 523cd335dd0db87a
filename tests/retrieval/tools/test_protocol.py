"""Messages of the Model Context Protocol, good and bad."""

from __future__ import annotations

import io
import json

import pytest

from embedkit.retrieval.tools.protocol import VERSIONS, converse


def asked(toolbox, *messages):
    out = io.StringIO()
    converse(toolbox, [each if isinstance(each, str) else json.dumps(each) for each in messages], out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def request(method, number=1, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def test_a_conversation(toolbox):
    found = asked(
        toolbox,
        request(
            "initialize", "a", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "t", "version": "0"}
        ),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request("ping", 2),
        request("tools/list", 3),
        request("tools/call", 4, name="search", arguments={"query": "text 7", "k": 1}),
        request("tools/call", 5, name="search", arguments={"query": "text 7", "k": 0}),
    )
    assert [each["id"] for each in found] == ["a", 2, 3, 4, 5]
    first, ping, listed, hits, wrong = (each["result"] for each in found)
    assert (first["protocolVersion"], first["serverInfo"]["name"], first["capabilities"]) == (
        "2025-06-18",
        "embedkit",
        {"tools": {}},
    )
    assert ping == {}
    assert [tool["name"] for tool in listed["tools"]] == ["search", "get", "list_collections"]
    assert hits["structuredContent"]["hits"][0]["id"] == "7"
    assert json.loads(hits["content"][0]["text"]) == hits["structuredContent"]
    assert (hits["isError"], wrong["isError"]) == (False, True)
    assert "k: expected an integer" in wrong["content"][0]["text"]


def test_an_unknown_version_gets_the_newest(toolbox):
    assert (
        asked(toolbox, request("initialize", protocolVersion="1999-01-01"))[0]["result"]["protocolVersion"]
        == VERSIONS[0]
    )


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", -32700),
        ("3", -32600),
        ("[]", -32600),
        ({"id": 1}, -32600),
        (request("resources/list"), -32601),
        (request("tools/call", name="delete"), -32602),
        (request("tools/call", name="search", arguments=[1]), -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, -32602),
    ],
)
def test_what_is_wrong_is_answered_and_ends_nothing(toolbox, message, code):
    wrong, after = asked(toolbox, message, request("ping", 9))
    assert wrong["error"]["code"] == code
    assert after == {"jsonrpc": "2.0", "id": 9, "result": {}}


def test_several_at_once_and_nothing_to_answer(toolbox):
    (found,) = asked(
        toolbox, [request("ping", 1), {"jsonrpc": "2.0", "method": "notifications/x"}, request("ping", 2)], "", "  "
    )
    assert [each["id"] for each in found] == [1, 2]
    assert (
        asked(
            toolbox, {"jsonrpc": "2.0", "method": "notifications/cancelled"}, {"jsonrpc": "2.0", "id": 1, "result": {}}
        )
        == []
    )


def test_an_unforeseen_error_is_one_answer(toolbox, monkeypatch):
    monkeypatch.setattr(toolbox, "call", lambda *_: 1 / 0)
    assert asked(toolbox, request("tools/call", name="get", arguments={}))[0]["error"]["code"] == -32603
