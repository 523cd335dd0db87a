"""What a path stands for: a file that ends, or something that gives bytes when it likes, or never."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path

_KERNEL = frozenset({"proc", "sysfs", "debugfs", "tracefs", "configfs", "securityfs", "cgroup", "cgroup2", "bpf"})
"""File systems whose files the kernel makes while they are read: regular ones by their mode, of which some wait for ever."""


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a pipe, a socket, a device or a file that the kernel makes (below ``/proc`` and ``/sys``); False where
    that cannot be told."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    return not stat.S_ISDIR(found.st_mode) and (not stat.S_ISREG(found.st_mode) or _is_of_kernel(found.st_dev))


def is_endless(path: str | os.PathLike[str]) -> bool:
    """Whether this is a socket, a disk, a file that the kernel makes, or a device that gives bytes for ever, as ``/dev/zero`` does. A pipe
    and a terminal, which somebody fills, are none. Raises `OSError`."""
    found = os.stat(path)
    if stat.S_ISREG(found.st_mode):
        return _is_of_kernel(found.st_dev)
    device = (os.major(found.st_rdev), os.minor(found.st_rdev))
    endless = stat.S_ISCHR(found.st_mode) and device[0] == 1 and device != (1, 3)
    return endless or stat.S_ISSOCK(found.st_mode) or stat.S_ISBLK(found.st_mode)


@cache
def _is_of_kernel(device: int) -> bool:
    if os.name != "posix":
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):  # where there is no /proc
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            mount, _, rest = line.partition(" - ")
            if mount.split()[2] == number:
                return rest.split()[0] in _KERNEL
    return False
