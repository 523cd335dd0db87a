"""A bundle that other machines find again: by its path where that is shared, or as what it was packed into."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import MANIFEST
from embedkit.errors import BundleError, DiskError
from embedkit.system import cache
from embedkit.system.atomic import atomic_folder

MOST_BYTES = 1 << 30
"""Bytes of a bundle that is handed out through a cluster; a larger one lies on a shared path."""


@dataclass(frozen=True, slots=True)
class BundleRef:
    """Where the driver has the bundle, and the sha256 of its manifest, which has those of all files: it is the same bundle wherever
    that is the same."""

    path: str
    manifest_sha256: str

    @classmethod
    def of(cls, bundle: Bundle) -> BundleRef:
        """The reference of an opened bundle."""
        folder = bundle.folder.absolute()
        return cls(str(folder), _sha256_of_manifest(folder))

    def folder(self, fetch: Callable[[], bytes] | None = None) -> Path:
        """The bundle's folder on this machine: the path, where this very bundle is there; else what ``fetch`` gives, unpacked into
        the cache folder, once for all processes of the machine. Raises `BundleError` where neither has it."""
        try:
            found = _sha256_of_manifest(Path(self.path))
        except BundleError:
            found = ""
        if found == self.manifest_sha256:
            return Path(self.path)
        if fetch is None:
            there = (
                f"another bundle (its manifest is {found:.12}, expected {self.manifest_sha256:.12})"
                if found
                else "none"
            )
            raise BundleError(
                f"{self.path}: expected the bundle of the driver, found {there}; put it there, or let it be sent"
            )
        target = cache.folder() / "bundles" / self.manifest_sha256
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_suffix(".lock")):
                if not (target / MANIFEST).is_file():
                    with atomic_folder(target) as work:
                        unpack(fetch(), work)
        except OSError as error:
            raise DiskError(f"{target}: the bundle cannot be unpacked: {error}; set EMBEDKIT_CACHE", error) from error
        if _sha256_of_manifest(target) != self.manifest_sha256:
            raise BundleError(f"{target}: the bundle was changed after it was unpacked; remove that folder")
        return target


def pack(bundle: Bundle) -> bytes:
    """The files of a bundle that its manifest names, as an uncompressed tar. Raises `BundleError` where they are too many bytes."""
    size = sum(entry.bytes for entry in bundle.manifest.files.values())
    if size > MOST_BYTES:
        raise BundleError(
            f"{bundle.folder}: {size:,} bytes are more than is handed out ({MOST_BYTES:,}); put it on a path that all nodes have, and "
            "say that it is not to be sent"
        )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in (MANIFEST, *bundle.manifest.files):
            tar.add(bundle.folder / name, name)
    return packed.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """What `pack` made, into a folder that is there."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter="data")


def _sha256_of_manifest(folder: Path) -> str:
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"{folder / MANIFEST}: cannot be read: {error.strerror}") from error
