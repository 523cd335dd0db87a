"""A bundle written to another place.

Its manifest comes last, so that there is no bundle before all of it is there. Where files are objects of their own (``s3://``,
``gs://``) a journal beside them, ``embedkit.json.unfinished``, tells which are there already: who is cut and called again goes on. A hub
takes all in one commit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import msgspec

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import MANIFEST, Manifest
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import writing
from embedkit.errors import BundleError, DiskError, InputError
from embedkit.system.files import addresses
from embedkit.system.progress import bar_of

from .hub import commit
from .place import BundlePlace

JOURNAL = f"{MANIFEST}.unfinished"


@dataclass(frozen=True, slots=True)
class PushReport:
    """What `push` did: of the bundle's ``files`` and their ``bytes``, ``sent`` bytes went to its ``address`` in this call; the others
    were there before."""

    address: str
    folder: str
    name: str
    fingerprint: str
    files: int
    bytes: int
    sent: int

    def to_json(self) -> str:
        """The same as JSON."""
        return msgspec.json.encode(asdict(self)).decode()

    def __str__(self) -> str:
        return f"{self.address}: {self.name}, {self.files:,} files of {self.bytes:,} bytes; {self.sent:,} bytes sent"


def push(
    bundle: str | os.PathLike[str],
    address: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool | None = None,
) -> PushReport:
    """Write the bundle in a folder to ``address``: ``hf://OWNER/NAME``, which is made (private) where it is missing, ``s3://``, ``gs://``,
    ``file://`` or a path; `embedkit.pull` fetches it from there.

    All its files are checked before one is sent. Where the same bundle is there nothing is; another one is refused unless
    ``overwrite`` is set, and of it only what differs is sent. ``progress`` shows a bar; None: in a terminal.

    Raises `BundleError` for a bundle that is not whole and where another one is, `InputError` for an address that cannot be written,
    `MissingExtraError` without its package, and `DiskError` where it cannot be read or written.
    """
    place = BundlePlace(address)
    if not place.writable:
        raise InputError(
            f"{place.address}: a bundle can be read there, and not written; push it to hf://, s3://, gs:// or a folder"
        )
    opened = Bundle.open(bundle)
    opened.verify_files()
    sizes = {name: entry.bytes for name, entry in opened.manifest.files.items()}
    with _disk_errors(place.address):
        sent = _send(opened, place, overwrite=overwrite, progress=progress)
    manifest = opened.manifest
    return PushReport(
        place.address,
        str(opened.folder),
        manifest.source.name,
        manifest.fingerprint,
        len(sizes),
        sum(sizes.values()),
        sum(sizes[name] for name in sent),
    )


def _send(bundle: Bundle, place: BundlePlace, *, overwrite: bool, progress: bool | None) -> list[str]:
    """Write the bundle; the names of the files that were sent."""
    raw = (bundle.folder / MANIFEST).read_bytes()
    found = place.manifest()
    if found not in (None, raw) and not overwrite:
        raise BundleError(
            f"{place.address}: another bundle is there; pass --overwrite to replace it, or choose another address"
        )
    if place.folder is not None:
        return _copied(bundle, place, same=found == raw, overwrite=overwrite)
    older = _read(found, place)
    if place.hub is not None:
        if found == raw:
            return []
        stale = sorted(older.files.keys() - bundle.manifest.files.keys()) if older else []
        commit(bundle, place, stale, quiet=progress is False)
        return list(bundle.manifest.files)
    return _put(bundle, place, raw, found, older, progress)


def _copied(bundle: Bundle, place: BundlePlace, *, same: bool, overwrite: bool) -> list[str]:
    assert place.folder is not None
    if same and all((place.folder / name).is_file() for name in bundle.manifest.files):
        Bundle.open(place.folder).verify_files()
        return []
    names = list(bundle.manifest.files)
    with writing(place.folder, overwrite=overwrite or same) as work:
        for name in (*names, MANIFEST):
            shutil.copyfile(bundle.folder / name, work / name)
    return names


def _put(
    bundle: Bundle, place: BundlePlace, raw: bytes, found: bytes | None, older: Manifest | None, progress: bool | None
) -> list[str]:
    """Write the files one by one. The journal names what is there by its sha256, and never what is being written."""
    files = bundle.manifest.files
    wanted = {name: entry.sha256 for name, entry in files.items()}
    journal = _journal(place)
    known = {name: entry.sha256 for name, entry in older.files.items()} if older and journal is None else journal or {}
    there = {
        name
        for name, digest in wanted.items()
        if known.get(name) == digest and addresses.size_far(place.of(name)) == files[name].bytes
    }
    if found == raw and journal is None and len(there) == len(files):
        return []
    stale = known.keys() - wanted.keys()
    known = {name: digest for name, digest in known.items() if name in there or name in stale}
    addresses.write_far(msgspec.json.encode(known), place.of(JOURNAL))
    addresses.remove_far(place.of(MANIFEST))
    sent = [name for name in files if name not in there]
    with bar_of(sum(entry.bytes for entry in files.values()), progress, "B") as bar:
        bar.update(sum(files[name].bytes for name in there))
        for name in sent:
            addresses.put_far(bundle.folder / name, place.of(name))
            bar.update(files[name].bytes)
            addresses.write_far(msgspec.json.encode({**known, name: wanted[name]}), place.of(JOURNAL))
            known[name] = wanted[name]
    addresses.write_far(raw, place.of(MANIFEST))
    for name in stale:
        addresses.remove_far(place.of(name))
    addresses.remove_far(place.of(JOURNAL))
    return sent


def _journal(place: BundlePlace) -> dict[str, str] | None:
    """What an unfinished push says is there; None where there was none."""
    try:
        with place.open(JOURNAL) as file:
            return msgspec.json.decode(file.read(), type=dict[str, str])
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return {}


def _read(found: bytes | None, place: BundlePlace) -> Manifest | None:
    """The manifest that is there; None where it cannot be read, and nothing is known of its files."""
    try:
        return read_manifest(found, place.of(MANIFEST)) if found is not None else None
    except BundleError:
        return None


@contextmanager
def _disk_errors(address: str) -> Iterator[None]:
    try:
        yield
    except (BundleError, DiskError):
        raise
    except OSError as error:
        raise DiskError(f"{address}: {error}; what was sent is kept: run again when that is repaired", error) from error
