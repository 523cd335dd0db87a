"""The files in a folder, in an order that does not depend on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Folder:
    """The files in a folder and all below it, as paths relative to it with ``/``, sorted.

    Hidden files and folders, linked folders and dead letters are not among them. ``failed`` names the folders that
    cannot be listed, with the reason.
    """

    path: str
    failed: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        self.failed.clear()
        found = []
        for parent, folders, files in os.walk(self.path, onerror=self._note):
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = os.path.relpath(parent, self.path)
            found += [
                os.path.normpath(os.path.join(place, name)).replace(os.sep, "/")
                for name in files
                if not name.startswith(".") and not name.endswith(".dead.jsonl")
            ]
        return iter(sorted(found, key=lambda path: path.split("/")))

    def _note(self, error: OSError) -> None:
        self.failed.append((str(error.filename), error.strerror or str(error)))
