"""The records of a file, each with the place that an error names: JSON lines, tables, plain text; gzipped or not."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias

from embedkit.checks import check_text
from embedkit.errors import InputError

TEXTS = (("text1", "text2"), ("sentence1", "sentence2"), ("question1", "question2"))

Record: TypeAlias = tuple[str, dict[str, Any]]
"""Where it stands, for messages, and what it holds."""

_JSONL = (".jsonl", ".ndjson")
_TABLES = {".tsv": "\t", ".csv": ","}


def find(folder: Path, *names: str) -> Path:
    """The first of the files ``names``, plain or gzipped, that is in ``folder``; else `InputError`."""
    found = [path for name in names for end in ("", ".gz") if (path := folder / f"{name}{end}").is_file()]
    if not found:
        refuse(f"sample {folder}", f"a file {' or '.join(names)} (or with .gz) in this folder", "none")
    return found[0]


def identified(path: Path, what: str, notes: Counter[str]) -> dict[str, str]:
    """id -> text, with a title before it."""
    found: dict[str, str] = {}
    for key, text in entries(path):
        if text.strip():
            found[key] = text
        else:
            notes[f"blank {what} left out"] += 1
    notes[f"repeated {what} joined"] = len(found) - len(set(found.values()))
    return found


def entries(path: Path) -> Iterator[tuple[str, str]]:
    """The ids of a file, each once, with their texts; a title stands before the text, with a space between."""
    seen: set[str] = set()
    for where, record in records(path):
        key = record.get("_id", record.get("id"))
        if not isinstance(key, str | int) or str(key) in seen:
            refuse(where, 'a new "_id" or "id", a string or an integer', f"{key!r:.60}")
        seen.add(str(key))
        text = text_of(record, "text", where)
        yield str(key), f"{text_of(record, 'title', where)} {text}" if record.get("title") else text


def records(path: Path) -> Iterator[Record]:
    """The records of a file; those of plain text have a "text"."""
    suffix = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if suffix in _TABLES:
        yield from _rows(path, _TABLES[suffix])
        return
    for where, line in _lines(path):
        if suffix not in _JSONL:
            yield where, {"text": line.rstrip("\r\n")}
        elif line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                refuse(where, "a JSON object", f"{line.strip()!r:.60}")
            yield where, record


def _rows(path: Path, delimiter: str) -> Iterator[Record]:
    header: list[str] = []
    for where, row in cells(path, delimiter):
        if header and len(row) != len(header):
            refuse(where, f"{len(header)} columns as in the header", str(len(row)))
        if header:
            yield where, dict(zip(header, row, strict=True))
        elif len(set(row)) != len(row):
            refuse(where, "a header with different names", ", ".join(row))
        header = header or row


def cells(path: Path, delimiter: str = "\t") -> Iterator[tuple[str, list[str]]]:
    """The rows of a table, a header too, each with the place where it stands. Tabs separate without quoting."""
    lines = (line for _, line in _lines(path))
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for row in filter(None, rows):
            yield f"sample {path}, line {rows.line_num}", row
    except csv.Error as error:
        refuse(f"sample {path}, line {rows.line_num}", "a row of a table", f"{error}")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    where = f"sample {path}"
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                where = f"sample {path}, line {number}"
                yield where, raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        refuse(where, "readable UTF-8 text", f"{error}")


def listed(record: dict[str, Any], name: str, where: str) -> Iterator[tuple[str, float]]:
    """The documents of a list, each with its grade (1 where none is given)."""
    entries = record.get(name)
    if not isinstance(entries, list):
        refuse(where, f'a list of documents in "{name}"', type(entries).__name__)
    for entry in entries:
        if isinstance(entry, dict):
            yield text_of(entry, "text", where), number_of(entry, "grade", where) if "grade" in entry else 1.0
        else:
            yield check_text(entry, f'{where}, field "{name}"'), 1.0


def text_of(record: dict[str, Any], name: str, where: str) -> str:
    """A field that is valid text; else `InputError`."""
    if name not in record:
        refuse(where, f'the field "{name}"', f"{', '.join(map(str, record)) or 'no field'}")
    return check_text(record[name], f'{where}, field "{name}"')


def number_of(record: dict[str, Any], name: str, where: str) -> float:
    """A field that is a finite number, or the text of one; else `InputError`."""
    value = record.get(name)
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        refuse(where, f'a finite number in "{name}"', f"{value!r:.60}")
    return number


def refuse(where: str, expected: str, found: str) -> NoReturn:
    """Raise the `InputError` of a place in a file."""
    raise InputError(f"{where}: expected {expected}; found {found}")


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file; `InputError` where there is none."""
    found = Path(path)
    if not found.is_file():
        raise InputError(f"{found}: expected a file, found {'a folder' if found.is_dir() else 'nothing'}")
    return found


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
