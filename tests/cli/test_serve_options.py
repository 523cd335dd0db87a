"""The options of ``embedkit serve`` as objects."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from embedkit.cli.serve_options import KEYS_VARIABLE, ListenOptions, TakingOptions
from embedkit.server.settings import ServeSettings

pytest.importorskip("starlette", reason="the extra serve is not installed")


def test_the_defaults_are_those_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    assert TakingOptions().settings(metrics_apart=False) == ServeSettings()


def test_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one\ntwo\n")
    monkeypatch.setenv(KEYS_VARIABLE, "three")
    assert TakingOptions(api_key_file=str(tmp_path / "keys")).settings(metrics_apart=True).keys == (
        "one",
        "two",
        "three",
    )


def test_tls_needs_both_files() -> None:
    with pytest.raises(click.BadParameter, match="together"):
        ListenOptions(tls_cert="a").address()
    assert ListenOptions(port=0).address().port == 0
