"""``embedkit serve`` on the command line; the process itself is tested in tests/server/test_process.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from embedkit import EmbedkitError, OptionError
from embedkit.cli.entry import app

pytest.importorskip("starlette", reason="the extra serve is not installed")


def test_its_help_teaches() -> None:
    text = CliRunner().invoke(app, ["serve", "--help"]).output
    for words in (
        "curl localhost:8080/v1/embeddings",
        "OpenAI(base_url=",
        "EMBEDKIT_API_KEY",
        "--watch",
        "bundle:query",
    ):
        assert words in text


def test_what_is_refused(bundle: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> object:
        return CliRunner().invoke(app, ["serve", *arguments])

    assert run().exit_code == 2  # type: ignore[attr-defined]
    assert "ALIAS=NAME" in run(str(bundle), "--alias", "x").output  # type: ignore[attr-defined]
    found = run(str(tmp_path / "nothing"), "--port", "0")
    assert isinstance(found.exception, EmbedkitError)  # type: ignore[attr-defined]
    found = run(str(bundle), str(bundle), "--port", "0")
    assert isinstance(found.exception, OptionError)  # type: ignore[attr-defined]
