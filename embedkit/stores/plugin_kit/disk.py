"""Whether a folder's disk has room: some databases do worse on a full disk than to fail."""

from __future__ import annotations

import os
import shutil

from embedkit.errors import TransientStoreError

_LEAST = 4 << 20


def require_room(folder: str | os.PathLike[str], coming: int) -> None:
    """Raise `TransientStoreError` unless the disk of ``folder`` has room for ``coming`` bytes four times over (a log, the
    rows, an index, what is rewritten), for an eighth of what the folder holds, and for 4 MiB more."""
    needed = 4 * coming + folder_bytes(folder) // 8 + _LEAST
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TransientStoreError(
            f"the disk of {os.fspath(folder)} has {free >> 20:,} MiB left, and the next rows may need {needed >> 20:,} MiB; make room, or "
            "use another folder"
        )


def folder_bytes(folder: str | os.PathLike[str]) -> int:
    """The bytes that all files below a folder take on its disk; a file that goes away meanwhile is left out."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(os.path.join(place, name))
                total += getattr(found, "st_blocks", found.st_size // 512) * 512  # files may be laid out with holes
            except OSError:
                continue
    return total
