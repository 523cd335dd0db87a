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
    """The CPUs this process may use: its affinity, and where a container limits its CPU time, no more than that."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        if quota != "max":
            count = min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, count)
