"""Files of offices: written by the libraries that read them, by hand where those cannot write, and broken."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedkit.ingestion import FileRows
from embedkit.ingestion.rows.row import BadRow

for module in ("docx", "openpyxl", "pptx", "pypdf"):
    pytest.importorskip(module)


def saved(made: Any) -> bytes:
    """What a document of one of the libraries is as a file."""
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def repacked(raw: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A package with its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, change(part.filename, old.read(part)))
    return out.getvalue()


def rows_of(folder: Path, name: str, raw: bytes, **options: Any) -> list[Any]:
    """The rows of a file with these bytes."""
    (folder / name).write_bytes(raw)
    return list(FileRows([folder / name], **options))


def assert_broken_files_are_bad_rows(folder: Path, name: str, raw: bytes) -> None:
    """Cut or changed at random bytes, the file is read or is one bad row, and raises nothing."""
    random_bytes = random.Random(7)
    bad = 0
    for turn in range(25):
        broken = bytearray(raw[: random_bytes.randrange(len(raw))] if turn % 2 else raw)
        for _ in range(0 if turn % 2 else 20):
            broken[random_bytes.randrange(len(broken))] = random_bytes.randrange(256)
        found = rows_of(folder, name, bytes(broken))
        bad += any(isinstance(row, BadRow) for row in found)
    assert bad >= 12
