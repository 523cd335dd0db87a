"""The command in a folder of its own."""

from __future__ import annotations

import json
import sys

import pytest

from embedkit.cli import entry as cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, entry_points):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys, monkeypatch):
    """Calls the command; its exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["embedkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def docs(folder):
    path = folder / "docs.jsonl"
    rows = [{"id": i, "text": f"text number {i}", "year": 2000 + i, "lang": "en" if i % 2 else "de"} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
