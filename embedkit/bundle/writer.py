"""A bundle written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from embedkit.errors import BundleError
from embedkit.system.atomic import atomic_file, atomic_folder

from .hashes import fingerprint, sha256_file
from .manifest import MANIFEST, FileEntry, Manifest
from .validation import read_manifest


@contextmanager
def writing(target: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write a bundle into; it becomes ``target`` when the block ends, and vanishes when the block raises.

    The work is done in a hidden folder beside ``target``, so an export that is cut leaves no half bundle; what a
    killed one left is removed by the next. An existing ``target`` is refused, unless it is a bundle or empty and
    ``overwrite`` is set.
    """
    goal = Path(target)
    check_target(goal, overwrite=overwrite)
    goal.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(goal) as work:
        yield work
        check_target(goal, overwrite=overwrite)


def check_target(goal: Path, *, overwrite: bool) -> None:
    """Raise `BundleError` where a bundle may not be written to ``goal``; called before the long work and again at its
    end."""
    if not goal.exists():
        return
    if not goal.is_dir():
        raise BundleError(f"{goal}: expected a folder to write, found a file; choose another folder")
    if any(goal.iterdir()):
        if not (goal / MANIFEST).is_file():
            raise BundleError(f"{goal}: the folder holds other files than a bundle; choose another folder")
        if not overwrite:
            raise BundleError(
                f"{goal}: a bundle is there already; pass --overwrite to replace it, or choose another folder"
            )


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write ``embedkit.json`` into ``folder``, with the hashes of all other files and the fingerprint filled in."""
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    files = {name: FileEntry(sha256=sha256_file(folder / name), bytes=(folder / name).stat().st_size) for name in names}
    manifest = msgspec.structs.replace(manifest, files=files)
    manifest = msgspec.structs.replace(manifest, fingerprint=fingerprint(manifest))
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    read_manifest(raw, str(folder / MANIFEST))
    with atomic_file(folder / MANIFEST) as file:
        file.write(raw)
    return manifest
