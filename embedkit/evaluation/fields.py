"""What the columns of labelled files may be called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .rows import records, refuse, text_of
from .task import check_file

TEXTS = (("text1", "text2"), ("sentence1", "sentence2"), ("question1", "question2"))


def labelled(
    path: Path, texts: Sequence[tuple[str, ...]], labels: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...], str, Mapping[str, Any]]]:
    """For each record its place, its texts, the name of its label, and itself. ``texts`` and ``labels`` are the names
    that may be, the first that fit count; the first record decides.

    Raises `InputError` for a file without these columns, or without a record.
    """
    chosen: tuple[tuple[str, ...], str] | None = None
    for where, record in records(check_file(path)):
        if chosen is None:
            names = next((names for names in texts if record.keys() >= set(names)), None)
            label = next((name for name in labels if name in record), None)
            if names is None or label is None:
                forms = " or ".join(" + ".join(names) for names in texts)
                refuse(
                    where,
                    f"the columns {forms}, and {' or '.join(labels)}",
                    f"{', '.join(map(str, record)) or 'none'}; rename them (a .tsv or .csv begins with a header)",
                )
            chosen = names, label
        yield where, tuple(text_of(record, name, where) for name in chosen[0]), chosen[1], record
    if chosen is None:
        raise InputError(f"{path}: expected at least one record, found none")
