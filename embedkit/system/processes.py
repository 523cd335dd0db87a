"""Whether a process is there."""

from __future__ import annotations

import os
from pathlib import Path


def is_alive(pid: str) -> bool:
    """Whether a process has this number, as text; False for what is no number."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def cpu_count() -> int:
    """The CPUs this process may use: its affinity, and where containers, or services and slices of the system, limit its CPU
    time, no more than the least of these limits."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [limit for folder in _groups() if (limit := _limit(folder)) is not None]
    return max(1, min([count, *(int(limit) for limit in limits)]))


_MOUNTS = (("", "/sys/fs/cgroup"), ("cpu", "/sys/fs/cgroup/cpu"), ("cpu", "/sys/fs/cgroup/cpu,cpuacct"))
"""Where control groups usually stand: those of version 2, which have no controller's name, and version 1's of the CPU."""


def _groups() -> list[str]:
    """The folders of the control groups that this process is in and that count its CPU time, and of all above them."""
    own = {"": "/", "cpu": "/"}
    for line in _lines("/proc/self/cgroup"):  # ID:CONTROLLERS:PATH
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for controller in {"", "cpu"} & set(names.split(",")):
            own[controller] = path
    folders: dict[str, None] = {}
    for controller, root, mount in (*_mounted(), *((name, "/", place) for name, place in _MOUNTS)):
        # A container sees a part of the tree, whose root it is: of its own path, if that is told from the top, the rest counts.
        path = own[controller]
        inside = path.removeprefix(root) if root != "/" and f"{path}/".startswith(f"{root}/") else path
        steps = [step for step in inside.split("/") if step not in ("", ".", "..")]
        for length in range(len(steps), -1, -1):
            folders["/".join([mount, *steps[:length]])] = None
    return list(folders)


def _mounted() -> list[tuple[str, str, str]]:
    """(controller, root, mount point) of the mounted control groups that count CPU time."""
    found = []
    for line in _lines("/proc/self/mountinfo"):  # ID PARENT DEVICE ROOT POINT OPTIONS ... - KIND SOURCE OPTIONS
        left, _, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if len(before) < 5 or len(after) < 3:
            continue
        root, point = (text.encode().decode("unicode_escape") for text in before[3:5])
        if after[0] == "cgroup2":
            found.append(("", root, point))
        elif after[0] == "cgroup" and "cpu" in after[2].split(","):
            found.append(("cpu", root, point))
    return found


def _limit(folder: str) -> float | None:
    """CPUs that a control group may use at a time, of either version; None without a limit."""
    told = [*_lines(f"{folder}/cpu.max"), ""][0].split()
    if len(told) < 2:
        told = [[*_lines(f"{folder}/cpu.{name}"), ""][0] for name in ("cfs_quota_us", "cfs_period_us")]
    try:
        quota, period = map(int, told[:2])
    except ValueError:  # "max", or nothing
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return []
