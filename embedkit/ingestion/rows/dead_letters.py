"""The rows that were not written, each with its reason, in a JSON lines file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from embedkit.checks import path_of
from embedkit.errors import DiskError, InputError, OptionError
from embedkit.records.documents import Document
from embedkit.records.metadata import dump_metadata

from .row import BadRow

_LONGEST_NAME = 200
"""Bytes of a file's name: of 255, some are needed while it is written."""


class DeadLetters:
    """A file of ``{"source", "line", "id", "reason", "row", "format", "document"}`` objects that reflects the last run.

    It is made at the first bad row, and removed by `finish` where a run has none. ``jq -r .row FILE`` gives the rows
    back as they were read; ``document`` is ``{"id", "text", "metadata"}`` where a row could be read, else null, and
    `embedkit.ingestion.retry` tries them again. Raises `DiskError` where ``path`` cannot be written, and `OptionError`
    where it is one of ``inputs`` or holds anything else.
    """

    def __init__(self, path: str | os.PathLike[str], *, inputs: Iterable[str] = ()) -> None:
        self.path = Path(path_of("dead_letters", path))
        self.count = 0
        self._file: TextIO | None = None
        self._check(inputs)

    def add(self, bad: BadRow) -> None:
        """Write one row; it is in the file when this returns."""
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", newline="\n")
            self._file.write(json.dumps(letter(bad)) + "\n")
            self._file.flush()
        except OSError as error:
            raise DiskError(f"dead letters: writing {self.path} failed: {error}", error) from error
        self.count += 1

    def finish(self) -> None:
        """The run is complete: what an earlier run left is removed if this one had no bad row."""
        self.close()
        if not self.count:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> DeadLetters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, inputs: Iterable[str]) -> None:
        folder = self.path.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise DiskError(
                f"dead letters: {folder} is no folder that can be written; choose another path for them",
                filename=folder,
            )
        if not os.path.exists(self.path):
            if len(os.fsencode(self.path.name)) > _LONGEST_NAME:
                raise DiskError(
                    f"dead letters: {self.path.name[:40]}... is too long for a file's name; choose another path for them"
                )
            return
        if any(os.path.exists(path) and os.path.samefile(path, self.path) for path in inputs):
            raise OptionError(f"dead letters: {self.path} is one of the inputs; choose another path for them")
        if not self.path.is_file() or not is_dead_letters(self.path):
            raise OptionError(f"dead letters: {self.path} holds something else; choose another path for them")


def letter(bad: BadRow) -> dict[str, Any]:
    """What is written of a bad row."""
    return {
        "source": bad.source,
        "line": bad.line,
        "id": bad.id,
        "reason": bad.reason,
        "row": bad.row,
        "format": bad.format,
        "document": _document(bad.document),
    }


def _document(document: Document | None) -> dict[str, Any] | None:
    """What can be read again; None where the metadata are of a kind that no file keeps."""
    if document is None or not isinstance(document.id, str) or not isinstance(document.text, str):
        return None
    try:
        metadata = json.loads(dump_metadata(document.metadata))
    except InputError:
        return None
    return {"id": document.id, "text": document.text, "metadata": metadata}


def is_dead_letters(path: Path) -> bool:
    """Whether a file is empty or begins with a dead letter."""
    with path.open("rb") as file:
        first = file.readline(1 << 27)
    try:
        return not first or {"source", "line", "reason", "row"} <= json.loads(first).keys()
    except (ValueError, AttributeError):
        return False
