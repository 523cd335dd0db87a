"""One line a request, without its texts."""

from __future__ import annotations

import io
import json

import pytest

from embedkit import Encoder
from embedkit.server.http.call import Call
from embedkit.server.observing.logs import log_line, write_line
from helpers.served import quiet, served


def test_what_is_told(encoder: Encoder, capfd: pytest.CaptureFixture[str]) -> None:
    with served({"tiny": encoder}, quiet(access_log=True)) as server:
        server.ask(
            "/v1/embeddings",
            {"input": ["private words"]},
            headers={"x-request-id": "r1", "authorization": "Bearer private"},
        )
        server.ask("/v1/embeddings", {"input": "a", "role": "private"}, headers={"x-request-id": "r2"})
        server.ask("/health")
    text = capfd.readouterr().err
    assert "private" not in text
    lines = [json.loads(line) for line in text.splitlines() if "route" in line]
    assert [(line["request_id"], line["status"], line["route"]) for line in lines] == [
        ("r1", 200, "/v1/embeddings"),
        ("r2", 400, "/v1/embeddings"),
    ]
    assert (lines[0]["texts"], lines[0]["tokens"], lines[0]["model"]) == (1, 15, "tiny")
    assert {"ms", "queue_ms", "encode_ms"} <= set(lines[0])
    assert lines[1]["error"] == "Refusal"


def test_a_line() -> None:
    stream = io.StringIO()
    write_line(log_line(Call("1", code=404)), stream)
    assert json.loads(stream.getvalue())["route"] == "unknown"
