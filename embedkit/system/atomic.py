"""Files and folders that are written whole or not at all, whatever ends the process that writes them.

What is written lies beside its target, in a hidden place that names its process, and takes the target's name when all of
it is on the disk. A process that is killed leaves the target as it was; what it left beside it is removed by the next
that writes there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .processes import is_alive


@contextmanager
def atomic_file(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that is ``target`` when the block ends well, in the place of what was there.

    Raises `OSError` where it cannot be written, and what the block raises; ``target`` is then as it was.
    """
    goal = Path(target)
    part = _beside(goal)
    try:
        with part.open("xb") as file:
            yield file
        move(part, goal)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder that is ``target`` when the block ends well, in the place of what was there.

    Raises `OSError` where it cannot be written, and what the block raises; ``target`` is then as it was. Between the old
    folder and the new one there is a moment without any; who is killed in it leaves the old one to the next writer, who
    gives it back its name.
    """
    goal = Path(target)
    work = _beside(goal)
    old = work.with_name(work.name + _OLD)
    try:
        work.mkdir()
        yield work
        for path in work.rglob("*"):
            _sync(path)
        _sync(work)
        if goal.exists():
            goal.rename(old)
        try:
            work.rename(goal)
        except OSError:
            if old.exists():
                old.rename(goal)
            raise
        _sync(goal.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def move(part: Path, target: Path) -> None:
    """Give a file that is written the name ``target``, in the place of what was there, once it is on the disk."""
    _sync(part)
    part.replace(target)
    _sync(target.parent)


_OLD = "-old"


def _beside(goal: Path) -> Path:
    """A free hidden name in the folder of ``goal``, without what processes that are no more left there."""
    start = f".{goal.name}.partial-"
    with suppress(OSError):
        for stale in [path for path in goal.parent.iterdir() if path.name.startswith(start)]:
            if is_alive(stale.name.removeprefix(start).partition("-")[0]):
                continue
            if stale.name.endswith(_OLD) and not goal.exists():
                stale.rename(goal)
            elif stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                stale.unlink(missing_ok=True)
    return goal.with_name(f"{start}{os.getpid()}-{os.urandom(4).hex()}")


def _sync(path: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
