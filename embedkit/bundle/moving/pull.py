"""A bundle fetched from another place, whole or not at all.

Files are fetched into a hidden folder beside the target, ``.NAME.pulling-KEY``, whose key stands for the manifest: who is cut and
called again goes on there, in the middle of a file. The folder takes the target's name when every file has the manifest's sha256.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from embedkit.bundle.hashes import fingerprint, sha256_file
from embedkit.bundle.manifest import MANIFEST, FileEntry, Manifest
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import check_target, writing
from embedkit.errors import BundleError, DiskError
from embedkit.system.atomic import atomic_file, move
from embedkit.system.progress import bar_of

from .place import BundlePlace

_PIECE = 1 << 20
_TRIES = 3
"""Times in a row that a file is asked for without a byte of it coming."""
_PAUSE_SECONDS = 1.0
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class PullReport:
    """What `pull` did: of the bundle's ``files`` and their ``bytes``, ``fetched`` bytes came from its ``address`` in this call; the
    others were in ``folder`` before, or left by a call that was cut."""

    address: str
    folder: str
    name: str
    fingerprint: str
    files: int
    bytes: int
    fetched: int

    def to_json(self) -> str:
        """The same as JSON."""
        return msgspec.json.encode(asdict(self)).decode()

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.name}, {self.files:,} files of {self.bytes:,} bytes, each as its manifest says; {self.fetched:,} bytes "
            f"fetched from {self.address}"
        )


def pull(
    address: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    progress: bool | None = None,
) -> PullReport:
    """Fetch the bundle at ``address`` (``hf://``, ``s3://``, ``gs://``, ``https://``, ``file://`` or a path) into ``folder``, by default one
    of its name here.

    A bundle that is there already is made whole where it is the same; another one is refused unless ``overwrite`` is set, and stays
    until the new one is complete. Files that it has already are not fetched. ``progress`` shows a bar; None: in a terminal.

    Raises `InputError` for an address that is none, `MissingExtraError` without its package, `BundleError` where there is no bundle or
    its files are not those of its manifest, and `DiskError` where it cannot be read or written: what came so far is kept.
    """
    place = BundlePlace(address)
    goal = Path(folder) if folder is not None else Path(place.name)
    with _disk_errors(place.address):
        raw = place.manifest()
        if raw is None:
            raise BundleError(
                f"{place.address}: no {MANIFEST} there, so it is no bundle; correct the address, or set the credentials of a "
                "private place in the environment"
            )
        manifest = read_manifest(raw, place.of(MANIFEST))
        if manifest.fingerprint != fingerprint(manifest):
            raise BundleError(f"{place.of(MANIFEST)}: fingerprint: its manifest was edited; export the bundle again")
        same = _manifest_of(goal) == raw
        check_target(goal, overwrite=overwrite or same)
        fetched = 0
        if not (same and all(_is_whole(goal / name, entry) for name, entry in manifest.files.items())):
            fetched = _fetch(place, goal, raw, manifest, progress)
    size = sum(entry.bytes for entry in manifest.files.values())
    return PullReport(
        place.address, str(goal), manifest.source.name, manifest.fingerprint, len(manifest.files), size, fetched
    )


def _fetch(place: BundlePlace, goal: Path, raw: bytes, manifest: Manifest, progress: bool | None) -> int:
    """Make ``goal`` the bundle; the bytes that came from its place."""
    start = f".{goal.absolute().name}.pulling-"
    work = goal.absolute().with_name(start + hashlib.sha256(raw).hexdigest()[:16])
    work.mkdir(parents=True, exist_ok=True)
    with _held(work, goal), bar_of(sum(entry.bytes for entry in manifest.files.values()), progress, "B") as bar:
        files = [_File(place, work, goal, name, entry, bar) for name, entry in manifest.files.items()]
        needed = sum(file.missing() for file in files)
        if (free := shutil.disk_usage(work).free) < needed:
            raise DiskError(
                f"{goal}: {needed:,} bytes are to come, and its disk has {free:,} left; make room, and run again"
            )
        fetched = sum(file.fetch() for file in files)
        with atomic_file(work / MANIFEST) as file:
            file.write(raw)
        with writing(goal, overwrite=True) as whole:
            for name in (*manifest.files, MANIFEST):
                (work / name).rename(whole / name)
    for left in goal.absolute().parent.glob(f"{start}*"):
        with suppress(BundleError, OSError), _held(left, goal):
            shutil.rmtree(left, ignore_errors=True)
    return fetched


class _File:
    """A file of the bundle, on its way."""

    def __init__(self, place: BundlePlace, work: Path, goal: Path, name: str, entry: FileEntry, bar: Any) -> None:
        self._place, self._name, self._entry, self._bar = place, name, entry, bar
        self._whole, self._part = work / name, work / f".{name}"  # a file of a bundle has no leading dot
        if not _is_whole(self._whole, entry):
            self._whole.unlink(missing_ok=True)
            if _is_whole(goal / name, entry):
                shutil.copyfile(goal / name, self._part)
                move(self._part, self._whole)

    def missing(self) -> int:
        """The bytes that are to be fetched."""
        return 0 if self._whole.exists() else max(0, self._entry.bytes - _size(self._part))

    def fetch(self) -> int:
        """Fetch what is missing, and prove it; the bytes that came."""
        if self._whole.exists():
            self._bar.update(self._entry.bytes)
            return 0
        begun = _size(self._part)
        self._bar.update(begun)
        came = self._patiently()
        if begun and not _is_whole(self._part, self._entry):  # what was left there was of something else
            self._part.unlink()
            self._bar.update(-begun - came)
            came += self._patiently()
        if not _is_whole(self._part, self._entry):
            size, digest = _size(self._part), sha256_file(self._part)
            self._part.unlink()
            raise BundleError(
                f"{self._place.of(self._name)}: expected {self._entry.bytes:,} bytes with the sha256 {self._entry.sha256}, found {size:,} with "
                f"{digest}; the bundle was changed there: have it written again, or pull it from elsewhere"
            )
        move(self._part, self._whole)
        return came

    def _patiently(self) -> int:
        """Fetch until all is there or no more comes; the bytes that came."""
        came = tries = 0
        problem: OSError | None = None
        while (before := _size(self._part)) < self._entry.bytes and tries < _TRIES:
            problem = None
            if tries:
                time.sleep(_PAUSE_SECONDS * tries)
            try:
                self._once()
            except FileNotFoundError as error:
                raise BundleError(
                    f"{self._place.of(self._name)}: the manifest names this file, and it is not there; have the bundle written again"
                ) from error
            except _ReadError as error:
                problem = error
            grown = max(0, _size(self._part) - before)
            came += grown
            tries = 0 if grown else tries + 1
        if tries == _TRIES and problem:
            raise problem
        self._part.touch()
        return came

    def _once(self) -> None:
        """Go on from where it is."""
        with _reading():
            far = self._place.open(self._name)
        with far, self._part.open("ab") as file:
            at = file.tell()
            try:
                far.seek(at)
            except OSError:  # the other side gives whole files alone
                file.truncate(0)
                self._bar.update(-at)
                at = 0
            while at <= self._entry.bytes:
                with _reading():
                    piece = far.read(_PIECE)
                if not piece:
                    return
                file.write(piece)
                at += len(piece)
                self._bar.update(len(piece))


class _ReadError(OSError):
    """The other side failed, which may pass; a disk that is full does not."""


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _ReadError(str(error)) from error


@contextmanager
def _held(work: Path, goal: Path) -> Iterator[None]:
    lock = FileLock(work / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BundleError(f"{goal}: another process pulls this bundle there; wait until it has ended") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _disk_errors(address: str) -> Iterator[None]:
    try:
        yield
    except (BundleError, DiskError):
        raise
    except OSError as error:
        raise DiskError(
            f"{address}: {error}; what came so far is kept: run again when that is repaired", error
        ) from error


def _manifest_of(folder: Path) -> bytes | None:
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError:
        return None


def _is_whole(path: Path, entry: FileEntry) -> bool:
    try:
        return path.stat().st_size == entry.bytes and sha256_file(path) == entry.sha256
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
