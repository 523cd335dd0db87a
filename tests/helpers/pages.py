"""The blocks of a page of documentation, and what runs them as a reader would: Python in one process, shell commands in a
shell, a server at a port of its own.

A block of ``text`` behind another is what that prints, ``...`` standing for anything. What a command measures (numbers with a
fraction, seconds, speeds) and fingerprints are other ones each time, and so are the width of a column and where a line is
folded. A comment ``<!-- not run: REASON -->`` before a block leaves it out; its commands are then only read, as click reads
them. Blocks of ``pip install`` and ``docker`` are left out by themselves: of the first the extras are looked up.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(`{3,})(.*)$")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
_ELSEWHERE = ("pip install", "python3 -m venv", "python -m venv", "docker ", "make ", ". .venv")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, where it begins, and why it is not run, if it is not."""

    language: str
    code: str
    line: int
    not_run: str | None
    prints: str | None


def blocks(page: str) -> list[Block]:
    """The blocks of a page, each with the output that follows it."""
    found: list[Block] = []
    lines = page.splitlines()
    i, reason = 0, None
    while i < len(lines):
        if mark := _NOT_RUN.search(lines[i]):
            reason = mark[1]
        elif fence := _FENCE.match(lines[i]):
            end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith(fence[1]))
            code = "\n".join(lines[i + 1 : end]) + "\n"
            if fence[2].strip() == "text" and found and reason is None:
                found[-1] = Block(**{**vars(found[-1]), "prints": code})
            else:
                found.append(Block(fence[2].strip(), code, i + 1, reason, None))
            i, reason = end, None
        i += 1
    return found


_MEASURED = re.compile(
    r"[+-]?\d[\d,]*\.\d+(?:e[+-]\d+)?|\b\d{1,3}(?:,\d{3})+\b|\b\d+(?= (?:s|documents/s)\b)|\b[0-9a-f]{8,}\b"
)


def same(expected: str, printed: str, *, measured: bool = False) -> bool:
    """Whether an output is the one of the page, in which ``...`` stands for anything; ``measured``: whatever was measured."""

    def lines(text: str) -> str:
        text = "\n".join(map(str.rstrip, text.strip().splitlines()))
        return re.sub(r"\s+", " ", _MEASURED.sub("#", text)) if measured else text

    pattern = ".*?".join(map(re.escape, lines(expected).split("...")))
    return re.fullmatch(pattern, lines(printed), re.DOTALL) is not None


def commands(code: str) -> Iterator[list[str]]:
    """The commands of embedkit in a block of shell code, as words."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r"\||&&|;|(?<!&)&$|\$\(|\)", line):
            if not re.search(r"\bembedkit(-export)?\s", part):
                continue
            words = shlex.split(part, comments=True)
            while words and "=" in words[0]:
                words.pop(0)
            words = words[: next((i for i, word in enumerate(words) if re.match(r"\d?>", word)), len(words))]
            if words and words[0] in ("embedkit", "embedkit-export"):
                yield words


def check_command(words: list[str]) -> None:
    """Reads a command as click does, and runs nothing; raises `click.ClickException` for what is not there."""
    from embedkit.cli.entry import app
    from embedkit_export.cli import app as export_app

    if words[0] == "embedkit-export":
        export_app.make_context("embedkit-export", words[1:])
    elif words[1:2] not in (["--help"], ["--version"], []):
        # with the group's own context: click keeps the names of the option for help from the first one
        group = app.make_context("embedkit", ["stores"], resilient_parsing=True)
        command = app.get_command(group, words[1])
        assert command is not None, words
        try:
            command.make_context(words[1], words[2:], parent=group)
        except click.BadParameter as error:
            if "does not exist" not in error.message:  # a file of the reader's own
                raise


def check_extras(code: str) -> None:
    """Whether the extras that a ``pip install`` names are those of pyproject.toml."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for found in re.findall(r"\[([\w,-]+)\]", code):
        assert set(found.split(",")) <= set(extras), found


@dataclass
class Runner:
    """Runs the blocks of one page in a folder; ``ran`` is how many it ran."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    ran: int = 0
    _servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _port: int = 0

    def __post_init__(self) -> None:
        bin = self.folder / ".bin"
        bin.mkdir(exist_ok=True)
        for name, module in (("embedkit", "embedkit"), ("embedkit-export", "embedkit_export.cli"), ("python", "")):
            start = f'exec {sys.executable} {f"-m {module}" if module else ""} "$@"\n'
            (bin / name).write_text("#!/bin/sh\n" + start)
            (bin / name).chmod(0o755)
        path = os.pathsep.join([*sys.path, str(ROOT / "export"), str(ROOT / "plugins")])
        self.environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}", "PYTHONPATH": path}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def run(self, page: str) -> None:
        """Every block of a page in its order."""
        try:
            for block in blocks(page):
                self._block(block)
        finally:
            for server in self._servers:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()

    def _block(self, block: Block) -> None:
        code = block.code.replace("localhost:8080", f"localhost:{self._port}")
        code = code.replace("--port 8080", f"--port {self._port}")
        if block.language == "toml":
            tomllib.loads(code)
        elif block.language == "sh" and code.lstrip("# ").startswith(_ELSEWHERE):
            check_extras(code)
        elif block.language not in ("python", "sh"):
            return
        elif block.not_run:
            if block.language == "sh":
                for words in commands(block.code):
                    check_command(words)
            else:
                compile(code, "page", "exec")
        else:
            printed = self._python(code, block.line) if block.language == "python" else self._shell(code)
            self.ran += 1
            if block.prints is not None:
                found = same(block.prints, printed, measured=block.language == "sh")
                assert found, f"line {block.line} prints\n{printed}\nand not\n{block.prints}"

    def _python(self, code: str, line: int) -> str:
        out = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out):
            exec(compile("\n" * line + code, "page", "exec", dont_inherit=True), self.names)
        return out.getvalue()

    def _shell(self, code: str) -> str:
        lines = code.splitlines()
        serving = [line for line in lines if line.startswith("embedkit serve")]
        for line in serving:
            self._serve(line.partition("#")[0])
        if lines[-1].endswith("--watch"):
            return self._watched(code)
        rest = "\n".join(line for line in lines if line not in serving)
        done = subprocess.run(
            ["sh", "-e"], input=rest, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{rest}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _watched(self, code: str) -> str:
        """A command that goes on is ended after its first line."""
        going = subprocess.Popen(
            ["sh", "-c", f"exec {code}"], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert going.stdout is not None
        first = going.stdout.readline()
        going.send_signal(signal.SIGTERM)
        rest, _ = going.communicate(timeout=300)
        assert going.returncode == 0, code
        return first + rest

    def _serve(self, line: str) -> None:
        server = subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            stderr=(self.folder / "server.log").open("wb"),
        )
        self._servers.append(server)
        for _ in range(600):
            assert server.poll() is None, (self.folder / "server.log").read_text()
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"http://localhost:{self._port}/ready").read()
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())
