"""Labelled files whose records name pictures (or sounds)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from embedkit.errors import InputError
from embedkit.evaluation.labelled import check_file, labelled, records, refuse, text_of
from embedkit.system.files.addresses import is_far, without_query

IMAGES = ("image", "audio", "file_name", "file", "uri")
CAPTIONS = ("caption", "captions", "text")


def captioned(path: str | os.PathLike[str]) -> Iterator[tuple[str, Path, list[str]]]:
    """For each record its place, its picture (beside the file, where its name is relative) and its captions: one, or a list of them."""
    names: tuple[str, str] | None = None
    for where, record in records(check_file(path)):
        if names is None:
            image = next((name for name in IMAGES if name in record), None)
            caption = next((name for name in CAPTIONS if name in record), None)
            if image is None or caption is None:
                found = ", ".join(map(str, record)) or "none"
                refuse(
                    where, f"the columns {' or '.join(IMAGES)}, and {' or '.join(CAPTIONS)}", f"{found}; rename them"
                )
            names = image, caption
        given = record.get(names[1])
        each = given if isinstance(given, list) else [given]
        texts = [text_of({names[1]: one}, names[1], where) for one in each]
        if not texts or not all(text.strip() for text in texts):
            refuse(where, f'a caption, or several in a list, in "{names[1]}"', f"{given!r:.60}")
        yield where, beside(path, text_of(record, names[0], where)), texts
    if names is None:
        raise InputError(f"{without_query(str(path))}: expected at least one record, found none")


def classed(path: str | os.PathLike[str]) -> Iterator[tuple[str, Path | str, str, Mapping[str, Any]]]:
    """For each record its place, its picture (or its text, of a file without pictures), its label, and itself."""
    for where, (name,), column, record in labelled(
        path, tuple((name,) for name in (*IMAGES, "text")), ("label", "class")
    ):
        label = record[column]
        if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
            refuse(where, f'a text or an integer in "{column}"', f"{label!r:.60}")
        pictured = any(image in record for image in IMAGES)
        yield where, beside(path, name) if pictured else name, str(label).strip(), record


def beside(path: str | os.PathLike[str], name: str) -> Path:
    """Where a picture or sound lies that a file names; `InputError` for a file at an address, as those are read from this machine."""
    if is_far(str(path)):
        raise InputError(
            f"{without_query(str(path))}: pictures and sounds are read from files of this machine; copy this file here, and those that it names"
        )
    return Path(os.path.join(Path(path).parent, name))
