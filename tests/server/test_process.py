"""The command as a process: it listens once it is ready, drains, ends, and loses nothing that it took."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from embedkit import OptionError
from embedkit.server.process import ListenAddress, named_bundles
from embedkit.testing.tiny import tiny_bundle
from helpers.served import Served
from helpers.serving_process import Process, process


def test_it_drains_and_loses_nothing(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "b")
    with process(str(bundle), "--port", "0", "--drain", "4", "--quiet") as running:
        assert running.event("listening")["models"] == ["b", "b:query", "b:document"]
        assert running.ask("/ready").status == 200
        codes: list[int] = []
        refused: list[type[Exception]] = []
        ending = threading.Event()

        def client() -> None:
            while True:
                try:
                    codes.append(running.ask("/v1/embeddings", {"input": ["some text"] * 50}).status)
                except ConnectionRefusedError as error:
                    refused.append(type(error))
                    return
                except OSError as error:  # a reset before anything was answered
                    refused.append(type(error) if ending.is_set() else AssertionError)
                    return

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        ending.set()
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert running.ask("/ready").status == 503
        assert running.ask("/health").status == 200
        late = running.ask("/v1/embeddings", {"input": "late"})
        assert (late.status, late.headers["connection"]) == (200, "close")
        for thread in threads:
            thread.join(30)
        assert running.process.wait(30) == 0
        assert set(codes) == {200}
        assert len(refused) == 4
        assert AssertionError not in refused
        assert running.event("ended")


def test_a_second_signal_ends_at_once_and_ctrl_c_does_not_drain(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "b")
    with process(str(bundle), "--port", "0", "--drain", "60") as running:
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert running.process.poll() is None
        assert running.end() == 0
    with process(str(bundle), "--port", "0", "--drain", "60") as running:
        assert running.end(signal.SIGINT) == 0


def test_keys_workers_metrics_and_names(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "b")
    arguments = [f"m={bundle}", "--port", "0", "--alias", "other=m", "--workers", "2", "--metrics-port", "0"]
    with process(*arguments, EMBEDKIT_API_KEY="secret") as running:
        assert running.ask("/v1/models").status == 401
        got = running.ask("/v1/embeddings", {"input": ["tea"] * 100, "model": "other"}, authorization="Bearer secret")
        assert got.status == 200
        assert got.json["model"] == "m"
        assert running.ask("/metrics", authorization="Bearer secret").status == 404, "metrics have a port of their own"
        assert running.end() == 0
        log = json.dumps(running.lines)
        assert "secret" not in log
        assert "tea" not in log
        line = next(line for line in running.lines if line.get("route") == "/v1/embeddings")
        assert (line["status"], line["texts"], line["model"]) == (200, 100, "m")


def test_at_a_unix_socket(tmp_path: Path) -> None:
    bundle, path = tiny_bundle(tmp_path / "b"), tmp_path / "s"
    with process(str(bundle), "--uds", str(path)) as running:
        assert running.url == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert running.end(signal.SIGINT) == 0
    assert not path.exists()


def test_names_of_bundles(tmp_path: Path) -> None:
    assert named_bundles(["a/b", "x=c/d"]) == {"b": "a/b", "x": "c/d"}
    for wrong in (["a/b", "c/b"], ["=a"], ["x="]):
        with pytest.raises(OptionError, match="NAME=BUNDLE"):
            named_bundles(wrong)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"cannot listen at 127.0.0.1:{port}"):
            ListenAddress(port=port).listen()


def test_a_signal_where_openvino_was_loaded(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    running = Process(str(tiny_bundle(tmp_path / "b")), "--port", "0", "--drain", "0", "--engine", "openvino:f32")
    assert running.end() == 0


def test_answers_do_not_wait_for_the_network(lone: Served) -> None:
    """With Nagle's algorithm an answer of two parts waits for the client to acknowledge the first: 40 ms."""
    connection = http.client.HTTPConnection(*lone.address, timeout=30)

    def seconds() -> float:
        started = time.perf_counter()
        connection.request("GET", "/health")
        connection.getresponse().read()
        return time.perf_counter() - started

    assert min(seconds() for _ in range(30)) < 0.03
    listening = ListenAddress(port=0).listen()
    assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert listening.proto == socket.IPPROTO_TCP
    listening.close()
