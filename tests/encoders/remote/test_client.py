"""Retries, what is waited, and errors that do not tell the key."""

from __future__ import annotations

import email.utils
import pickle
import time

import pytest

from embedkit import RemoteError
from embedkit.encoders.remote.address import Address
from embedkit.encoders.remote.client import Client


def client(url: str, waits: list[float], **options) -> Client:
    return Client(Address.of(url), sleep=waits.append, **options)


BODY = {"model": "tiny", "input": ["a"]}


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, None])
def test_what_may_pass_is_tried_again(url, server, status):
    waits: list[float] = []
    server.failures.extend([None if status is None else (status, {})] * 2)
    one = client(url, waits)
    assert len(one.post("/embeddings", BODY)["data"]) == 1
    assert len(waits) == 2
    assert 0.3 < waits[0] <= 0.5 < waits[1] <= 1.0
    assert one.outages == (2 if status in (None, 502, 503, 504) else 0)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after": "7"}, 7, 7),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5, 1.5),
        ({"retry-after": "in 30 seconds, as a date"}, 20, 30),
        ({"retry-after": "soon"}, 0.3, 0.5),
        ({"retry-after": "-3"}, 0, 0),
        ({"retry-after": "nan"}, 0.3, 0.5),
    ],
)
def test_the_server_says_how_long(url, server, headers, least, most):
    waits: list[float] = []
    if "date" in headers["retry-after"]:
        headers = {"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)}
    server.failures.append((429, headers))
    client(url, waits).post("/embeddings", BODY)
    assert least <= waits[0] <= most


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        ((400, {}), 1),
        ((404, {}), 1),
        ((429, {"x-should-retry": "false"}), 1),
        ((429, {"retry-after": "3600"}), 1),
        ((503, {}), 4),
    ],
)
def test_what_does_not_pass_is_told(url, server, failure, attempts):
    server.failures.extend([failure] * 9)
    with pytest.raises(RemoteError, match=f"answered {failure[0]}") as error:
        client(url, [], retries=3).post("/embeddings", BODY)
    assert (error.value.status, error.value.said) == (failure[0], "try again")
    assert len(server.asked) == attempts
    again = pickle.loads(pickle.dumps(error.value))
    assert (str(again), again.status, again.said) == (str(error.value), failure[0], "try again")


def test_nobody_there(url):
    nowhere = url.replace("127.0.0.1", "127.0.0.1.invalid")
    waits: list[float] = []
    with pytest.raises(RemoteError, match=r"tried 3 times\); is the server there"):
        client(nowhere, waits, retries=2).get("/models")
    assert len(waits) == 2


def test_a_key_is_sent_and_never_told(url, server, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_API_KEY", "sk-s3cret")
    server.key, server.echo_key = "other", True
    with pytest.raises(RemoteError, match="EMBEDKIT_API_KEY") as error:
        client(url, []).post("/embeddings", BODY)
    assert server.asked[0]["authorization"] == "Bearer sk-s3cret"
    assert "s3cret" not in str(error.value) + error.value.said + repr(error.value)


def test_a_redirect_is_not_followed(url, server):
    server.redirect = "http://elsewhere.example/v1/embeddings"
    with pytest.raises(RemoteError, match="answered 307.*leads elsewhere"):
        client(url, []).post("/embeddings", BODY)


def test_what_is_no_json(url, server, monkeypatch):
    monkeypatch.setattr("json.dumps", lambda _: "<html>")
    with pytest.raises(RemoteError, match="expected JSON from /models.*http://host/v1"):
        client(url, []).get("/models")
