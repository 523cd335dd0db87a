"""A server that is used hard: its memory, its workers, its certificate. ``EMBEDKIT_REQUESTS=100000`` for more of it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.testing.tiny import tiny_bundle
from helpers.served import vectors_of
from helpers.serving_process import Process, process

pytest.importorskip("starlette", reason="the extra serve is not installed")

REQUESTS = int(os.environ.get("EMBEDKIT_REQUESTS", "4000"))
WARMED = max(6000, REQUESTS // 2)
"""Requests after which batches of most shapes have been computed and the allocator's free lists are full: of 200,000 the first
20,000 take 15 MB, the second half 1 MB."""
GROWTH_MB = 8


def resident(running: Process) -> float:
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def many(running: Process, count: int, clients: int = 8) -> list[int]:
    """The statuses of requests of one to three texts over connections that are kept; of few words, since the tokenizer keeps
    the first ten thousand that it sees."""
    host, _, port = running.url.rpartition("//")[2].rpartition(":")
    found: list[int] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        for i in range(number, count, clients):
            texts = [f"text {i % 500} {'x' * (i % 90)}"] * (1 + i % 3)
            connection.request(
                "POST", "/v1/embeddings", json.dumps({"input": texts}), {"content-type": "application/json"}
            )
            answer = connection.getresponse()
            answer.read()
            found.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_requests(tmp_path: Path) -> None:
    with process(str(tiny_bundle(tmp_path / "b")), "--port", "0", "--quiet", "--drain", "0") as running:
        assert set(many(running, WARMED)) == {200}
        before = resident(running)
        assert set(many(running, REQUESTS)) == {200}
        assert resident(running) - before < GROWTH_MB
        assert running.end() == 0


def test_a_killed_worker_costs_no_request(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "b")
    texts = [f"text {i}" for i in range(40)]
    expected = Encoder.load(bundle, engine="onnxruntime", threads=1).encode(texts).tobytes()
    with process(str(bundle), "--port", "0", "--quiet", "--drain", "0", "--workers", "2") as running:
        answers: list[tuple[int, bytes]] = []
        stop = threading.Event()

        def client() -> None:
            while not stop.is_set():
                got = running.ask("/v1/embeddings", {"input": texts, "encoding_format": "base64"})
                answers.append((got.status, vectors_of(got.json).tobytes() if got.status == 200 else got.data))

        threads = [threading.Thread(target=client) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            known = len(answers)
            os.kill(workers(running)[0], signal.SIGKILL)
            while len(answers) < known + 20:
                stop.wait(0.02)
        stop.set()
        for thread in threads:
            thread.join()
        assert {answer == (200, expected) for answer in answers} == {True}
        restarts = [
            line for line in running.ask("/metrics").data.decode().splitlines() if "worker_restarts_total{" in line
        ]
        assert [float(line.split()[-1]) for line in restarts] == [3.0]
        assert running.end() == 0


def workers(running: Process) -> list[int]:
    """The processes that compute."""
    children = Path(f"/proc/{running.process.pid}/task").glob("*/children")
    found = [int(pid) for child in children for pid in child.read_text(encoding="ascii").split()]
    return sorted(pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_behind_a_certificate(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    bundle = tiny_bundle(tmp_path / "b")
    files = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with process(str(bundle), "--port", "0", "--quiet", "--drain", "0", *files) as running:
        scheme, _, where = running.url.partition("://")
        assert scheme == "https"
        port = int(where.rpartition(":")[2])
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=30, context=ssl.create_default_context(cafile=str(certificate))
        )
        body = json.dumps({"input": ["tea"], "encoding_format": "base64"})
        connection.request("POST", "/v1/embeddings", body, {"content-type": "application/json"})
        got = json.loads(connection.getresponse().read())
        expected = Encoder.load(bundle, engine="onnxruntime", threads=1).encode(["tea"])
        assert np.array_equal(vectors_of(got), expected)
        stranger = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.request("GET", "/health")
        before = time.monotonic()  # the client stays, and says no farewell to TLS
        assert running.end() == 0
        assert time.monotonic() - before < 15
        connection.close()
