"""What is no file that ends is told by its path, without opening it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from embedkit.system.files.kinds import is_endless, is_special

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and sockets are files here")


def test_files_folders_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "nowhere").symlink_to("b")
    for name in ("a", "link", "nowhere", ".", "a\0b"):
        assert not is_special(tmp_path / name)
    assert not is_endless(tmp_path / "link")
    with pytest.raises(OSError, match="No such file"):
        is_endless(tmp_path / "nowhere")


def test_pipes_sockets_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        found = {name: (is_special(tmp_path / name), is_endless(tmp_path / name)) for name in ("pipe", "socket")}
    assert found == {"pipe": (True, False), "socket": (True, True)}
    assert [is_special(path) for path in ("/dev/null", "/dev/zero")] == [True, True]
    assert [is_endless(path) for path in ("/dev/null", "/dev/zero")] == [False, True]


@pytest.mark.skipif(sys.platform != "linux", reason="these file systems are Linux's")
def test_files_that_the_kernel_makes(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/proc/kmsg")
    for path in (tmp_path / "log", "/proc/cpuinfo", "/proc/self/mem", "/sys/kernel/mm/transparent_hugepage/enabled"):
        if os.path.exists(path):
            assert is_special(path)
            assert is_endless(path)
    assert not is_special("/proc")
    assert not is_special(f"/proc/self/fd/{os.open(__file__, os.O_RDONLY)}"), "a descriptor leads to what is open"
