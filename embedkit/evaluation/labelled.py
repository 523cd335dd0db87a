"""The records of a labelled file, here or at an address, each with the place that an error names: JSON lines, tables, plain text;
compressed or not."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias

from embedkit.checks import check_text, path_of
from embedkit.errors import InputError
from embedkit.system.files import delimited, jsonlines
from embedkit.system.files.addresses import check_address, is_far, kind, without_query
from embedkit.system.files.compression import BROKEN, decompressed, uncompressed_name
from embedkit.system.files.lines import NotText, TooLong, Unreadable, decoded, lines, shown

TEXTS = (("text1", "text2"), ("sentence1", "sentence2"), ("question1", "question2"))

FilePlace: TypeAlias = Path | str
"""A path of this machine, or an address."""

REPAIR = "correct the address, set the credentials of a private place in the environment, or run again when it answers"
"""What to do where an address gives nothing."""

Record: TypeAlias = tuple[str, dict[str, Any]]
"""Where it stands, for messages, and what it holds."""


def records(path: FilePlace) -> Iterator[Record]:
    """The records of a file: objects of JSON lines, rows of a table by its header; a line of plain text is a "text".

    Raises `InputError` naming file and line, what was expected there, and what was found.
    """
    suffix = os.path.splitext(uncompressed_name(str(path)))[1].lower()
    table = next((name for name, suffixes in delimited.SUFFIXES.items() if suffix in suffixes), None)
    if table is not None:
        yield from _rows(path, table)
        return
    with _reading(path) as file:
        for number, raw in lines(file):
            where = _place(path, number)
            if isinstance(raw, TooLong):
                refuse(where, "a line of a length that can be read", str(raw))
            try:
                if suffix not in jsonlines.SUFFIXES:
                    yield where, {"text": decoded(raw).rstrip("\r\n")}
                elif raw.strip():
                    yield where, jsonlines.json_object(raw)
            except Unreadable as error:
                _refuse_bytes(where, "a JSON object", error, f"{shown(raw).strip()!r:.60}: ")


def _rows(path: FilePlace, form: str) -> Iterator[Record]:
    header: list[str] = []
    for where, row in cells(path, form):
        if header and len(row) != len(header):
            refuse(where, f"{len(header)} columns as in the header", str(len(row)))
        if header:
            yield where, dict(zip(header, row, strict=True))
        elif len(set(row)) != len(row):
            refuse(where, "a header with different names", ", ".join(row))
        header = header or row


def cells(path: FilePlace, form: str = "tsv") -> Iterator[tuple[str, list[str]]]:
    """The rows of a table (``csv``, or ``tsv`` without quoting), a header too, each with the place where it begins; blank
    lines are none."""
    with _reading(path) as file:
        for row in delimited.table_rows(file, delimited.DELIMITERS[form], quoted=form == "csv"):
            where = _place(path, row.line)
            try:
                found = row.cells()
            except Unreadable as error:
                _refuse_bytes(where, "a row of a table", error)
            if found:
                yield where, found


@contextmanager
def _reading(path: FilePlace) -> Iterator[BinaryIO]:
    """The bytes of a file; `InputError` where it is gone, damaged, cut off, or its server fails."""
    try:
        with decompressed(str(path)) as file:
            yield file
    except BROKEN as error:
        what_next = f"; {REPAIR}" if is_far(str(path)) else ""
        refuse(f"sample {without_query(str(path))}", "readable UTF-8 text", f"{error}{what_next}")


def _refuse_bytes(where: str, wanted: str, error: Unreadable, beginning: str = "") -> NoReturn:
    refuse(where, "readable UTF-8 text" if isinstance(error, NotText) else wanted, f"{beginning}{error}")


def _place(path: FilePlace, line: int) -> str:
    return f"sample {without_query(str(path))}, line {line}"


def text_of(record: Mapping[str, Any], name: str, where: str) -> str:
    """A field that is valid text; else `InputError`."""
    if name not in record:
        refuse(where, f'the field "{name}"', f"{', '.join(map(str, record)) or 'no field'}")
    return check_text(record[name], f'{where}, field "{name}"')


def number_of(record: Mapping[str, Any], name: str, where: str) -> float:
    """A field that is a finite number, or the text of one; else `InputError`."""
    value = record.get(name)
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        refuse(where, f'a finite number in "{name}"', f"{value!r:.60}")
    return number


MAX_GRADE = 10_000
"""The largest grade of relevance: trec_eval keeps a count of each grade up to the largest."""


def grade_of(record: Mapping[str, Any], name: str, where: str) -> int:
    """A field that is a grade of relevance, a whole number up to `MAX_GRADE`; else `InputError`."""
    grade = number_of(record, name, where)
    if grade != int(grade) or grade > MAX_GRADE:
        refuse(
            where,
            f"a whole number as grade, at most {MAX_GRADE:,}",
            f"{record[name]!r:.60}; give whole ranks of relevance",
        )
    return int(grade)


def refuse(where: str, expected: str, found: str) -> NoReturn:
    """Raise the `InputError` of a place in a file."""
    raise InputError(f"{where}: expected {expected}; found {found}")


def check_file(path: str | os.PathLike[str]) -> FilePlace:
    """The path of a file, or its address; `InputError` where there is none, and `MissingExtraError` without an address's package."""
    given = path_of("file", path)
    if is_far(given):
        _check_far(given)
        return given
    found = Path(given)
    if not found.is_file():
        raise InputError(f"{found}: expected a file, found {'a folder' if found.is_dir() else 'nothing'}")
    return found


def _check_far(address: str) -> None:
    check_address(address)
    try:
        found = "a folder; name a file in it" if kind(address) == "folder" else ""
    except FileNotFoundError:
        found = f"nothing; {REPAIR}"
    except OSError as error:
        found = f"{error}; {REPAIR}"
    if found:
        raise InputError(f"{without_query(address)}: expected a file, found {found}")


def labelled(
    path: str | os.PathLike[str], texts: Sequence[tuple[str, ...]], labels: Sequence[str]
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
        raise InputError(f"{without_query(str(path))}: expected at least one record, found none")
