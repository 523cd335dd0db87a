"""docs/serving.md: its code runs against a server, and what it says of routes and options is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.cli.entry import app

pytest.importorskip("starlette", reason="the extra serve is not installed")

from helpers.served import quiet, served

PAGE = (Path(__file__).parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_code_runs(encoder: Encoder) -> None:
    with served({"bundle": encoder}) as server:
        names: dict[str, Any] = {"URL": server.url}
        for block in blocks("python"):
            exec(compile(block, "serving.md", "exec"), names)
        expected = encoder.encode_document(["tea", "rain"])
        assert [np.frombuffer(one, "<f4").tobytes() for one in names["vectors"]] == [row.tobytes() for row in expected]


@pytest.mark.usefixtures("entry_points")
def test_the_commands_run(encoder: Encoder, tmp_path: Path) -> None:
    pytest.importorskip("sqlite_vec", reason="the extra sqlite-vec is not installed")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with served({"bundle": encoder}, quiet(store=f"sqlite-vec:{tmp_path / 'db'}")) as server:
        script = "\n".join(
            line for block in blocks("sh") for line in block.splitlines() if not line.startswith("embedkit serve")
        )
        script = script.replace("curl localhost:8080", f"curl -sf {server.url}")
        done = subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        assert '"hits":[{"id":"1"' in done.stdout


def test_every_option_and_route_that_is_named_is_there(encoder: Encoder) -> None:
    command = app.commands["serve"]
    known = {option for param in command.params for option in param.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known
    with served({"bundle": encoder}) as server:
        paths = set(server.ask("/openapi.json").json["paths"]) | {"/openapi.json"}
    table = "".join(line for line in PAGE.splitlines() if line.startswith("| `/"))
    named = {one.replace("NAME", "{name}") for one in re.findall(r"`(/[\w/.]*)`", table)} - {"/v1"}
    assert named
    assert named <= paths
