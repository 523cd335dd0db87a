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


MOUNTS_1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
MOUNTS_2 = "26 25 0:23 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
VERSION_1 = "/sys/fs/cgroup/cpu,cpuacct"


def quota(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("group", "mounts", "files", "most"),
    [
        # version 1: on a host, in a container, of a parent, without a limit, with a controller of its own
        ("4:cpu,cpuacct:/docker/ab\n0::/\n", MOUNTS_1.format(root="/"), quota(f"{VERSION_1}/docker/ab", 300_000), 3),
        ("4:cpu,cpuacct:/docker/ab\n", MOUNTS_1.format(root="/docker/ab"), quota(VERSION_1, 200_000), 2),
        (
            "4:cpu,cpuacct:/a/b/c\n",
            MOUNTS_1.format(root="/"),
            quota(f"{VERSION_1}/a/b/c", -1) | quota(f"{VERSION_1}/a", 500_000),
            5,
        ),
        ("4:cpu,cpuacct:/a\n", MOUNTS_1.format(root="/"), quota(f"{VERSION_1}/a", -1), 8),
        (
            "4:cpu:/a\n5:cpuacct:/b\n",
            "32 31 0:29 / /cg\\040roups/cpu rw - cgroup cgroup rw,cpu\n",
            quota("/cg roups/cpu/a", 70_000, 10_000),
            7,
        ),
        ("4:cpu,cpuacct:/a\n", "", quota(f"{VERSION_1}/a", 400_000), 4),
        # version 2: the root, a slice below it, a parent, both, a container that sees a part
        ("0::/\n", MOUNTS_2.format(root="/"), {"/sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (
            "0::/a.slice/b.service\n",
            MOUNTS_2.format(root="/"),
            {"/sys/fs/cgroup/a.slice/b.service/cpu.max": "300000 100000"},
            3,
        ),
        ("0::/a.slice/b.service\n", MOUNTS_2.format(root="/"), {"/sys/fs/cgroup/a.slice/cpu.max": "100000 100000"}, 1),
        (
            "0::/kubepods/pod1/c\n",
            MOUNTS_2.format(root="/"),
            {
                "/sys/fs/cgroup/kubepods/pod1/c/cpu.max": "max 100000",
                "/sys/fs/cgroup/kubepods/pod1/cpu.max": "600000 100000",
                "/sys/fs/cgroup/kubepods/cpu.max": "400000 100000",
            },
            4,
        ),
        ("0::/pod/c\n", MOUNTS_2.format(root="/pod"), {"/sys/fs/cgroup/c/cpu.max": "250000 100000"}, 2),
        ("0::/a\n", "", {"/sys/fs/cgroup/a/cpu.max": "50000 100000"}, 1),
        # both side by side, of which version 1 has the CPU
        (
            "3:cpu:/x\n0::/y\n",
            "1 1 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n2 1 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            quota("/sys/fs/cgroup/cpu/x", 200_000),
            2,
        ),
        ("4:memory:/a\nnonsense\n", "nonsense\n1 2 - x\n", {}, 8),
    ],
)
def test_the_limits_of_all_groups_count(tmp_path, monkeypatch, group, mounts, files, most):
    for name, text in {"/proc/self/cgroup": group, "/proc/self/mountinfo": mounts, **files}.items():
        file = tmp_path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(processes, "Path", lambda path: tmp_path / path.lstrip("/"))
    assert cpu_count() == most
