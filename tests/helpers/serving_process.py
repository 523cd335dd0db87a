"""``embedkit serve`` as a process of its own, what it logs, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.served import Got

ROOT = Path(__file__).parents[2]


class Process:
    """``embedkit serve`` and what it logs."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "embedkit", "serve", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **variables},
        )
        self.lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.url = str(self.event("listening")["url"])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(json.loads(line) if line.startswith("{") else {"text": line})

    def event(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """The line that tells of an event, once it is there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [line for line in list(self.lines) if line.get("event") == name]
            if found:
                return found[-1]
            assert self.process.poll() is None or name == "ended", self.lines
            time.sleep(0.02)
        raise AssertionError(self.lines)

    def ask(self, path: str, body: Any = None, **headers: str) -> Got:
        host, _, port = self.url.rpartition("//")[2].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        data = None if body is None else json.dumps(body).encode()
        connection.request(
            "GET" if body is None else "POST", path, data, {"content-type": "application/json", **headers}
        )
        answer = connection.getresponse()
        return Got(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def end(self, sig: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(60)


@contextmanager
def process(*arguments: str, **variables: str) -> Iterator[Process]:
    arguments = (*arguments, "--engine", "onnxruntime")
    running = Process(*arguments, **variables)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
