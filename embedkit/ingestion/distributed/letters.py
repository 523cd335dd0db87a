"""Dead letters as a data set: a folder of Parquet, on a disk or in a bucket; or the one file that `embedkit.ingest` writes."""

from __future__ import annotations

import json
import os
from typing import Any, Protocol

from embedkit.errors import DiskError, OptionError
from embedkit.ingestion.rows.dead_letters import DeadLetters, letter
from embedkit.ingestion.rows.row import BadRow
from embedkit.system.extras import needed

_ROWS = 10_000
_SUFFIX = ".dead.parquet"
_COLUMNS = ("source", "line", "id", "reason", "row", "format", "document", "run_id")


class LetterBox(Protocol):
    """Where the bad rows of a run go; ``count`` of them, to ``path``."""

    count: int

    @property
    def path(self) -> object:
        """The file, folder or address."""

    def add(self, bad: BadRow) -> None:
        """Keep one."""

    def finish(self) -> None:
        """The run is complete: what an earlier one left is removed."""

    def close(self) -> None:
        """Write what is not written yet."""


def letter_box(place: str | os.PathLike[str], run_id: str) -> LetterBox:
    """A JSON lines file where the name ends in ``.jsonl``, else a folder or a bucket's address (``s3://bucket/letters``)."""
    text = os.fspath(place)
    return DeadLetters(text) if text.endswith(".jsonl") else LetterFolder(text, run_id)


class LetterFolder:
    """Parquet files with the columns of `embedkit.ingestion.rows.dead_letters.DeadLetters` (``document`` as JSON) and ``run_id``. Raises
    `OptionError` where the folder holds anything else, and `DiskError` where it cannot be written."""

    def __init__(self, path: str, run_id: str) -> None:
        self.path, self.run_id, self.count = path, run_id, 0
        self._waiting: list[dict[str, Any]] = []
        self._parts = 0
        self._arrow = needed("pyarrow", "writing dead letters as Parquet", extra="parquet")
        self._parquet = needed("pyarrow.parquet", "writing dead letters as Parquet", extra="parquet")
        self._fs = needed("pyarrow.fs", "writing dead letters as Parquet", extra="parquet")
        try:
            self._system, self._folder = self._opened()
            self._system.create_dir(self._folder, recursive=True)
            others = [name for name in self._names() if not name.endswith(_SUFFIX)]
        except (OSError, self._arrow.ArrowException) as error:
            raise DiskError(f"dead letters: {path} cannot be written: {error}", filename=path) from error
        if others:
            raise OptionError(
                f"dead letters: {path} holds something else ({others[0]}); choose another folder for them"
            )

    def add(self, bad: BadRow) -> None:
        """As `LetterBox` says; a file is written when there are some thousands."""
        self._waiting.append({**letter(bad), "run_id": self.run_id})
        self.count += 1
        if len(self._waiting) >= _ROWS:
            self._write()

    def finish(self) -> None:
        """As `LetterBox` says."""
        self.close()
        for name in self._names():
            if not name.startswith(self.run_id):
                self._system.delete_file(f"{self._folder}/{name}")

    def close(self) -> None:
        """As `LetterBox` says."""
        if self._waiting:
            self._write()

    def _write(self) -> None:
        arrow = self._arrow
        schema = arrow.schema([(name, arrow.int64() if name == "line" else arrow.string()) for name in _COLUMNS])
        rows = [
            {name: _text(value) if isinstance(value, str) else value for name, value in row.items()}
            | {"document": None if row["document"] is None else json.dumps(row["document"])}
            for row in self._waiting
        ]
        table = arrow.table({name: [row[name] for row in rows] for name in _COLUMNS}, schema=schema)
        place = f"{self._folder}/{self.run_id}-{self._parts:05}{_SUFFIX}"
        try:
            self._parquet.write_table(table, place, filesystem=self._system)
        except (OSError, arrow.ArrowException) as error:
            raise DiskError(f"dead letters: writing {place} failed: {error}") from error
        self._waiting.clear()
        self._parts += 1

    def _opened(self) -> tuple[Any, str]:
        if "://" in self.path:
            system, folder = self._fs.FileSystem.from_uri(self.path)
            return system, folder
        return self._fs.LocalFileSystem(), os.path.abspath(self.path)

    def _names(self) -> list[str]:
        found = self._system.get_file_info(self._fs.FileSelector(self._folder))
        return [info.base_name for info in found if not info.base_name.startswith(".")]


def _text(value: str) -> str:
    """With what is no UTF-8 (lone surrogates, of names of files or of broken rows) written as escapes."""
    return value.encode("utf-8", "backslashreplace").decode()
