"""Files of pictures and sounds that an export is judged on: those of a folder, and those that a golden file keeps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.bundle.golden import media_arrays
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Item, Modality
from embedkit_export.verification.sample import Sample

LIMIT = 600
_SOURCES = 3


@dataclass(frozen=True)
class Fixed:
    """The items that are the same for every export."""

    golden: tuple[Item, ...]
    hostile: tuple[Item, ...]


def golden_arrays(role: str, modality: Modality, golden: Sequence[Item]) -> dict[str, Any]:
    """What the golden file keeps of a role: the golden items as they were prepared, and the files of the first with what each is
    prepared to."""
    files = []
    for item in golden[:_SOURCES]:
        expected = modality.prepared([item])
        files.append((item.data, {source: array[0] for source, array in expected.items()}))
    return media_arrays(role, modality.prepared(golden), files)


def of_folder(path: Path, suffixes: Collection[str], noun: str) -> Sample:
    """The files of a folder (and of those in it) with one of these suffixes, in an order that is always the same. Raises `InputError`
    where there are fewer than two."""
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
    if len(found) < 2:
        raise InputError(f"sample {path}: expected a folder with at least two {noun}s, found {len(found)}")
    order = np.random.default_rng(0).permutation(len(found))[:LIMIT]
    notes = (f"{noun}s beyond the first {LIMIT} left out: {len(found) - LIMIT:,}",) if len(found) > LIMIT else ()
    return Sample(path.name, tuple(found[i] for i in order), notes=notes)


def holds(path: Path, suffixes: Collection[str]) -> bool:
    """Whether a folder holds such files."""
    return path.is_dir() and any(file.suffix.lower() in suffixes for file in path.rglob("*"))
