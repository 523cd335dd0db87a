"""Words of a command line are UTF-8 in a locale that knows ASCII alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.system.files.words import as_utf_8

pytestmark = pytest.mark.skipif(os.name != "posix", reason="words are Unicode elsewhere")

PROGRAM = """
import json, sys
from embedkit.system.files.words import begin_in_utf_8
begin_in_utf_8()
print(json.dumps([sys.flags.utf8_mode, sys.argv[1:], [open(word).read() for word in sys.argv[1:2]]]))
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def said(folder: Path, words: list[str], **environment: str) -> list[object]:
    (folder / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    command = [sys.executable, "-W", "error", "program.py", *map(os.fsencode, words)]
    out = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE).stdout
    found: list[object] = json.loads(out)
    return found


def test_texts_and_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "\u00e9.txt").write_text("a")
    words = ["\u00e9.txt", "\u65e5\u672c \U0001f389"]
    assert said(tmp_path, words, **ASCII) == [1, words, ["a"]]
    assert said(tmp_path, words, PYTHONUTF8="1") == [1, words, ["a"]]


def test_what_is_no_utf_8_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / os.fsdecode(b"\xff")).write_text("")
    assert said(tmp_path, ["a", "b"], LC_ALL="C.UTF-8", PYTHONUTF8="0")[:2] == [0, ["a", "b"]]
    assert said(tmp_path, [os.fsdecode(b"\xff")], **ASCII)[:2] == [1, ["\udcff"]]


def test_names_that_are_utf_8_in_another_locale(tmp_path: Path) -> None:
    assert [as_utf_8(name) for name in ("a", "\u00e9", "\udcff", "a\ud800")] == ["a", "\u00e9", "\udcff", "a\ud800"]
    (tmp_path / "\u00e9.txt").write_text("a")
    code = "from embedkit import FileRows; print(ascii([(row.id, row.text) for row in FileRows(['.'])]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **ASCII}
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert out.strip() == ascii([("\u00e9.txt", "a")])
