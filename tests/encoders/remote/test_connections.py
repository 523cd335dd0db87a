"""Connections are kept and used again, made anew where the server closed them, and go through proxies."""

from __future__ import annotations

import socket
import threading

import pytest

from embedkit import OptionError
from embedkit.encoders.remote.address import Address
from embedkit.encoders.remote.connections import Connections, Unanswered


def listening(*answers: bytes, close: bool = True) -> tuple[int, list[bytes]]:
    """The port of a server that gives each connection one of the answers, and what it was asked."""
    asked: list[bytes] = []
    kept: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            asked.append(connection.recv(65536))
            connection.sendall(answer)
            if close:
                connection.close()
            kept.append(connection)
        if close:
            listener.close()
        else:
            threading.Event().wait(5)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], asked


GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_a_connection_is_used_again(url, server):
    connections = Connections(Address.of(url), 10)
    for _ in range(5):
        assert connections.ask("GET", "/v1/models", {}, None).status == 200
    assert server.connections == 1
    connections.close()


def test_a_connection_that_was_closed_meanwhile_is_made_anew():
    port, asked = listening(GOOD, GOOD)
    connections = Connections(Address.of(f"http://127.0.0.1:{port}"), 10)
    assert connections.ask("GET", "/a", {}, None).body == b"{}"
    assert connections.ask("GET", "/b", {}, None).body == b"{}"
    assert [line.split()[1] for line in asked] == [b"/a", b"/b"]


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"])
def test_half_an_answer_is_none(answer):
    port, _ = listening(answer)
    with pytest.raises(Unanswered):
        Connections(Address.of(f"http://127.0.0.1:{port}"), 10).ask("GET", "/", {}, None)


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unanswered, match="refused"):
        Connections(Address.of(f"http://127.0.0.1:{port}"), 10).ask("GET", "/", {}, None)


def test_an_answer_is_not_waited_for_longer_than_the_timeout():
    port, _ = listening(b"", close=False)
    with pytest.raises(Unanswered, match=r"within 0\.2 seconds"):
        Connections(Address.of(f"http://127.0.0.1:{port}"), 0.2).ask("GET", "/", {}, None)


def test_a_proxy_gets_whole_addresses_and_its_own_key(monkeypatch):
    port, asked = listening(GOOD)
    monkeypatch.setenv("http_proxy", f"http://me:pass%20word@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "localhost")
    assert Connections(Address.of("http://far.example:81/v1"), 10).ask("GET", "/v1/models", {}, None).body == b"{}"
    assert asked[0].startswith(b"GET http://far.example:81/v1/models HTTP/1.1")
    assert b"Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk" in asked[0]


def test_https_goes_through_a_tunnel(monkeypatch):
    port, asked = listening(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
    with pytest.raises(Unanswered, match="403"):
        Connections(Address.of("https://far.example/v1"), 10).ask("GET", "/v1/models", {}, None)
    assert asked[0].startswith(b"CONNECT far.example:443")


def test_a_proxy_that_is_no_address_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:s3cret@host:port")
    with pytest.raises(OptionError) as error:
        Connections(Address.of("http://far.example"), 10)
    assert "s3cret" not in str(error.value)
