"""The place of a bundle by its address: a folder of this machine, or one that has ``s3://``, ``gs://``, ``hf://`` or ``https://``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from embedkit.bundle.manifest import MANIFEST, is_plain_name
from embedkit.checks import path_of
from embedkit.errors import InputError
from embedkit.system.files import addresses

MOST_MANIFEST = 1 << 26
"""Bytes of a manifest that are read; real ones have some thousand."""
_HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([^/]+))?(?:/(.*))?", re.ASCII)


class BundlePlace:
    """A bundle's place; raises `InputError` for an address that cannot be one, and `MissingExtraError` without its package."""

    def __init__(self, address: str | os.PathLike[str]) -> None:
        given = path_of("address", address)
        if given.lower().startswith("file://"):
            given = _path(given)
        self.folder = None if addresses.is_far(given) else Path(given)
        """The folder, where it is on this machine."""
        if self.folder is None:
            addresses.check_folder_address(given, "the bundle")
        self.address = given.rstrip("/").removesuffix(f"/{MANIFEST}")
        if self.folder is not None:
            self.folder = Path(self.address or given)

    @property
    def name(self) -> str:
        """What a folder for the bundle is called."""
        if self.folder is not None:
            last = self.folder.absolute().name
        else:
            repository, _, inside = self.hub or (self.address, None, "")
            last = (inside or repository).rpartition("/")[2]
        if not is_plain_name(last):
            raise InputError(f"{self.address}: no folder can be called as the bundle is there; give its name")
        return last

    @property
    def writable(self) -> bool:
        """Whether a bundle can be written there at all."""
        return not self.address.lower().startswith(("http://", "https://"))

    @property
    def hub(self) -> tuple[str, str | None, str] | None:
        """Of ``hf://OWNER/NAME[@REVISION][/FOLDER]`` the repository, the revision and the folder; None elsewhere."""
        if not self.address.lower().startswith("hf://"):
            return None
        match = _HUB.fullmatch(self.address)
        if match is None or match[1].partition("/")[0] in ("datasets", "spaces", "buckets"):
            raise InputError(
                f"{self.address}: expected a repository of models, as hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
            )
        return match[1], match[2].replace("%2F", "/") if match[2] else None, match[3] or ""

    def of(self, name: str) -> str:
        """The address of a file."""
        return f"{self.address}/{name}"

    def open(self, name: str) -> BinaryIO:
        """A file's bytes; raises `OSError`."""
        if self.folder is not None:
            return (self.folder / name).open("rb")
        return addresses.open_far(self.of(name), _BLOCK)

    def manifest(self) -> bytes | None:
        """The manifest that is there now; None where there is none. Raises `OSError`, and `InputError` where it is too large."""
        if self.folder is None:
            addresses.look_anew(self.address)
        try:
            with self.open(MANIFEST) as file:
                raw = file.read(MOST_MANIFEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(raw) > MOST_MANIFEST:
            raise InputError(f"{self.of(MANIFEST)}: expected at most {MOST_MANIFEST:,} bytes; the file is no manifest")
        return raw


_BLOCK = 8 << 20


def _path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise InputError(f"{url}: expected file:///PATH, of this machine")
    return url2pathname(parts.path)
