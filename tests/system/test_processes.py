"""Whether a process is there, and the CPUs that this one may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.system import processes
from embedkit.system.processes import cpu_count, is_alive


def test_a_process_is_there_until_it_has_ended():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(str(child.pid))
    child.communicate(b"\n")
    assert child.wait() == 0
    assert not is_alive(str(child.pid))
    assert is_alive(str(os.getpid()))


@pytest.mark.parametrize("text", ["", "x", "1.5", "12a", "-"])
def test_what_is_no_number_is_no_process(text):
    assert not is_alive(text)


def test_a_process_of_somebody_else_is_there(monkeypatch):
    def refuse(pid, signal):
        raise PermissionError

    monkeypatch.setattr(processes.os, "kill", refuse)
    assert is_alive("1")


@pytest.mark.parametrize(
    ("told", "most"),
    [("max 100000\n", 8), ("250000 100000\n", 2), ("50000 100000\n", 1), ("", 8), ("x y", 8), ("1600000 100000", 8)],
)
def test_the_limit_of_a_container_counts(tmp_path, monkeypatch, told, most):
    (tmp_path / "cpu.max").write_text(told)
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(processes, "Path", lambda path: tmp_path / Path(path).name)
    assert cpu_count() == most


def test_without_a_limit_it_is_the_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda pid: {1, 3, 5}, raising=False)
    monkeypatch.setattr(processes, "Path", lambda path: tmp_path / "nowhere")
    assert cpu_count() == 3
