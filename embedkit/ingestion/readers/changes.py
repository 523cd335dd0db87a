"""When files become other files than they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from embedkit.system.files.addresses import is_far, stamps_far

from .files import Folder

_PATIENCE = 10
"""Looks after which files that never keep still are read as they are."""
_LONGEST_PAUSE = 60.0
_BESIDE = ("-wal", "-shm", "-journal", ".wal")
"""What databases write beside a file."""


class Changes:
    """Tells when files, folders and addresses are to be read (again): at once, and whenever one of their files was written, came or went,
    and all have been still from one look to the next, ``seconds`` later. Nobody has to tell of changes, so that shared and mounted
    disks and addresses are watched as well. What lies at ``ignored`` places, or below, or in files that databases write beside them,
    does not count."""

    def __init__(self, paths: Sequence[str], seconds: float, ignored: Sequence[str] = ()) -> None:
        self._paths, self._seconds = paths, seconds
        self._ignored = [os.path.abspath(path) for path in ignored]
        self._far: dict[str, object] = {}
        self._pause, self._failed = seconds, False

    def moments(self, wait: Callable[[float], bool]) -> Iterator[None]:
        """The moments at which the files are to be read. ``wait`` waits for some seconds, and says whether it is time to end: what
        has changed until then is told of once more."""
        seen = self.stamp()
        yield
        ending = False
        while not ending:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._failed else self._seconds
            ending = wait(self._pause)
            found = self.stamp()
            if found == seen and (ending or not self._failed):
                continue
            for _ in range(_PATIENCE):
                if ending:
                    break
                ending = wait(self._seconds)
                before, found = found, self.stamp()
                if found == before:
                    break
            seen, self._failed = found, False
            yield

    def failed(self) -> None:
        """Say that they could not be read, or not be written to where they go: they are told of again, changed or not, in a pause that
        doubles each time up to a minute."""
        self._failed = True

    def stamp(self) -> dict[str, object]:
        """What tells the files from what they were: another value where one is another. A place that cannot be asked stays as it
        was."""
        found: dict[str, object] = {}
        for path in self._paths:
            if is_far(path):
                try:
                    self._far[path] = stamps_far(path)
                except OSError as error:
                    self._far[path] = "gone" if isinstance(error, FileNotFoundError) else self._far.get(path)
                found[path] = self._far[path]
            elif os.path.isdir(path):
                folder = Folder(path)
                found |= {place: _stamp(place) for name in folder if self._counts(place := os.path.join(path, name))}
                found |= dict(folder.failed)
            else:
                found[path] = _stamp(path)
        return found

    def _counts(self, place: str) -> bool:
        whole = os.path.abspath(place)
        return not any(
            whole == one or whole.startswith(one + os.sep) or whole in [one + end for end in _BESIDE]
            for one in self._ignored
        )


def _stamp(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
