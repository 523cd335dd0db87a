"""Raw sockets: whatever a client sends or leaves undone, nothing hangs, nothing is a 500, and its neighbours get their answers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from embedkit import Encoder
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.loaded import PendingRows
from helpers.served import Served, quiet, served

CONNECTIONS = int(os.environ.get("EMBEDKIT_CONNECTIONS", "300"))
BODY = json.dumps({"input": "tea"}).encode()


def request(body: bytes, *headers: str, path: str = "/v1/embeddings", length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *headers]
    size = len(body) if length is None else length
    return "\r\n".join([*lines, f"content-length: {size}", "", ""]).encode() + body


class Socket:
    """A connection as it is."""

    def __init__(self, server: Served, seconds: float = 30) -> None:
        self.socket = socket.create_connection(server.address, seconds)
        self.data = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, bytes]:
        """The status and the body of the next answer."""
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        size = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
        while len(self.data) < size:
            self._more()
        body, self.data = self.data[:size], self.data[size:]
        return int(lines[0].split()[1]), body

    def _more(self) -> None:
        got = self.socket.recv(1 << 16)
        if not got:
            raise ConnectionError("closed")
        self.data += got

    def reset(self) -> None:
        """Leave without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class HeldEncoder(Encoder):
    """Its work waits for a sign, and it keeps what it was handed."""

    calls: list[list[Item]]
    sign: threading.Event

    def submit(self, role: str, items: Sequence[Item], outputs: Sequence[str]) -> list[PendingRows]:
        self.calls.append(list(items))
        assert self.sign.wait(60)
        return self.loaded.submit(role, items, outputs)


@pytest.fixture
def held(encoder: Encoder) -> Iterator[HeldEncoder]:
    made = HeldEncoder(encoder.loaded, on_truncate="ignore")
    made.calls, made.sign, made.source = [], threading.Event(), made
    made.sign.set()
    yield made
    made.sign.set()


def until(condition: object) -> None:
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def fine(server: Served) -> None:
    assert server.ask("/v1/embeddings", {"input": "neighbour"}).status == 200


def test_a_body_that_comes_slowly_and_one_that_never_comes(encoder: Encoder) -> None:
    with served({"tiny": encoder}, quiet(body_timeout=0.5)) as server:
        slow = Socket(server)
        whole = request(BODY)
        for i in range(0, len(whole), 40):
            slow.send(whole[i : i + 40])
            time.sleep(0.01)
        assert slow.answer()[0] == 200
        half = Socket(server)
        half.send(request(BODY[:5], length=len(BODY)))
        status, body = half.answer()
        assert (status, json.loads(body)["error"]["type"]) == (408, "timeout_error")
        fine(server)


def test_pipelined_requests_are_answered_in_order(lone: Served) -> None:
    connection = Socket(lone)
    connection.send(b"".join(request(json.dumps({"input": ["x"] * n}).encode()) for n in (3, 1, 2)))
    assert [len(json.loads(connection.answer()[1])["data"]) for _ in range(3)] == [3, 1, 2]


def test_33_mebibytes(lone: Served) -> None:
    told = Socket(lone)
    told.send(request(b"", length=33 << 20))
    status, body = told.answer()
    assert (status, "larger than the 33,554,432 bytes" in json.loads(body)["error"]["message"]) == (413, True)
    chunked = Socket(lone)
    chunked.send(
        b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    part = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
    try:
        for _ in range(40):
            chunked.send(part)
    except OSError:
        pass  # it was stopped early
    else:
        assert chunked.answer()[0] == 413
    fine(lone)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"input": "\xff\xfe"}', 400),
        (b'{"input": "\\ud800"}', 400),
        (b'{"input": "\\udc00\\ud800"}', 400),
        (b'{"input": "\xed\xa0\x80"}', 400),
        (b'{"input": NaN}', 400),
        (b'{"input": "a", "dimensions": NaN}', 400),
        (b'{"input": "a", "dimensions": 1e400}', 400),
        (b'{"input": "a", "dimensions": 99999999999999999999999}', 400),
        (b"[" * 100_000, 400),
        (b'{"input": ' + b"[" * 500 + b"]" * 500 + b"}", 400),
        (b'{"input": "a"} extra', 400),
        (b"", 400),
        (b"null", 400),
        (b"[]", 400),
        (b'"a"', 400),
        (b'{"input": {"text": 1}}', 400),
        (b'{"input": {"other": "a"}}', 400),
        (b'{"input": "a\\u0000b"}', 200),
        (b'\xef\xbb\xbf{"input": "a"}', 400),
        (b'{"input": "a", "input": "b"}', 200),
    ],
)
def test_bodies_that_are_none(lone: Served, body: bytes, status: int) -> None:
    got = lone.ask("/v1/embeddings", body)
    assert got.status == status, got.data
    if status != 200:
        assert got.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "application/vnd.api+json"}, 200),
        ({"content-encoding": "gzip"}, 415),
        ({"authorization": "Bearer None"}, 200),
        ({"x-request-timeout-ms": "abc"}, 400),
        ({"x-request-timeout-ms": "0"}, 400),
        ({"x-request-timeout-ms": "60000"}, 200),
    ],
)
def test_headers(lone: Served, headers: dict[str, str], status: int) -> None:
    assert lone.ask("/v1/embeddings", BODY, headers=headers).status == status


def test_who_leaves_while_it_waits_is_forgotten_and_while_it_is_computed_harms_nobody(held: HeldEncoder) -> None:
    with served({"tiny": held}) as server:
        model = server.service.catalogue.models["tiny"]
        held.calls.clear()
        held.sign.clear()
        computed = Socket(server)
        computed.send(request(b'{"input": "computed"}'))
        until(lambda: held.calls == [["computed"]])
        waits = [Socket(server) for _ in range(5)]
        for i, one in enumerate(waits):
            one.send(request(json.dumps({"input": f"waits {i}"}).encode()))
        until(lambda: model.queue.waiting == 5)
        computed.reset()
        for one in waits[1:4]:
            one.reset()
        until(lambda: model.queue.waiting == 2)
        held.sign.set()
        assert [waits[i].answer()[0] for i in (0, 4)] == [200, 200]
        assert held.calls[1:] == [["waits 0", "waits 4"]]
        page = server.ask("/metrics").data.decode()
        assert 'embedkit_cancelled_total{stage="work"} 4.0' in page
        fine(server)


def test_a_deadline_of_the_client(held: HeldEncoder) -> None:
    with served({"tiny": held}) as server:
        held.calls.clear()
        held.sign.clear()
        first = Socket(server)
        first.send(request(BODY))
        until(lambda: held.calls)
        got = server.ask("/v1/embeddings", {"input": "late"}, headers={"x-request-timeout-ms": "50"})
        assert (got.status, got.json["error"]["code"]) == (504, "deadline_exceeded")
        held.sign.set()
        assert first.answer()[0] == 200


def test_a_full_queue_says_when_to_come_again(held: HeldEncoder) -> None:
    with served({"tiny": held}, quiet(max_queue=8)) as server:
        model = server.service.catalogue.models["tiny"]
        held.calls.clear()
        held.sign.clear()
        sockets = [Socket(server) for _ in range(CONNECTIONS)]
        sockets[0].send(request(BODY))
        until(lambda: held.calls)
        for one in sockets[1:]:
            one.send(request(BODY))
        until(lambda: model.queue.waiting == 8)
        with ThreadPoolExecutor(1) as threads:
            refused = threads.submit(lambda: [status for one in sockets if (status := _soon(one)) is not None]).result(
                60
            )
        assert refused == [429] * (CONNECTIONS - 9), "one is computed, eight wait"
        got = server.ask("/v1/embeddings", {"input": ["a", "b"]})
        assert got.status == 429
        assert got.json["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(got.headers["retry-after"]) <= 60
        assert int(got.headers["retry-after-ms"]) <= 1000 * int(got.headers["retry-after"])
        held.sign.set()
        until(lambda: not model.queue.waiting)
        fine(server)


def _soon(one: Socket) -> int | None:
    one.socket.settimeout(0.5)
    try:
        return one.answer()[0]
    except TimeoutError:
        return None


def test_nothing_is_left_behind(lone: Served) -> None:
    async def tasks() -> int:
        return len(asyncio.all_tasks())

    def count() -> int:
        return asyncio.run_coroutine_threadsafe(tasks(), lone.loop).result(10)

    fine(lone)
    before = count()
    for _ in range(20):
        fine(lone)
        gone = Socket(lone)
        gone.send(request(BODY[:5], length=len(BODY)))
        gone.reset()
    until(lambda: count() <= before + 1)
