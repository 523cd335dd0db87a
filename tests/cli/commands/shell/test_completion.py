"""``embedkit completion``: the scripts, and what they complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(run, shell):
    code, out, err = run("completion", shell)
    assert (code, err) == (0, "")
    assert f"_EMBEDKIT_COMPLETE={shell}_complete" in out


def test_a_shell_that_is_not_known(run):
    code, out, err = run("completion", "tcsh")
    assert (code, out) == (2, "")
    assert "bash" in err


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("embedkit se", ["search", "serve"]),
        ("embedkit search --col", ["--collection"]),
        ("embedkit completion f", ["fish"]),
        ("embedkit search --hybrid d", ["dbsf"]),
    ],
)
def test_bash_completes(run, folder, words, expected):
    _, script, _ = run("completion", "bash")
    (folder / "embedkit").write_text(f'#!/bin/sh\nexec {sys.executable} -m embedkit "$@"\n')
    (folder / "embedkit").chmod(0o755)
    (folder / "completion.bash").write_text(script)
    parts = words.split()
    line = (
        f". ./completion.bash; COMP_WORDS=({words}); COMP_CWORD={len(parts) - 1}; "
        '_embedkit_completion embedkit; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True)
    assert done.stdout.split() == expected, done.stderr
