"""A search's folder, here or at an address, as BEIR lays it out: a corpus, queries, and who judged which document relevant to which query."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedkit.checks import path_of
from embedkit.errors import InputError
from embedkit.system.files.addresses import check_folder_address, is_far, kind, look_anew

from .labelled import REPAIR, FilePlace, cells, grade_of, records, refuse, text_of

_NAMES = (("query-id", "corpus-id", "score"), ("query-id", "doc-id", "relevance"))


@dataclass(frozen=True)
class Files:
    """The files of a folder: ``corpus.jsonl`` (or ``docs.jsonl``), ``queries.jsonl``, and ``qrels.tsv`` or
    ``qrels/SPLIT.tsv``, each plain or gzipped."""

    corpus: FilePlace
    queries: FilePlace
    judgements: FilePlace

    @classmethod
    def of(cls, folder: str | os.PathLike[str], split: str = "test") -> Files:
        """Those of ``folder``, or of the folder at that address; `InputError` naming the first that is not there, `MissingExtraError`
        without the address's package."""
        there = _folder(folder)
        return cls(
            _find(there, "corpus.jsonl", "docs.jsonl"),
            _find(there, "queries.jsonl"),
            _find(there, "qrels.tsv", f"qrels/{split}.tsv"),
        )


def _folder(given: str | os.PathLike[str]) -> FilePlace:
    path = path_of("folder", given)
    if is_far(path):
        check_folder_address(path, "the data set")
        return path.rstrip("/")
    found = Path(path)
    if not found.is_dir():
        raise InputError(
            f"{found}: expected a folder with corpus.jsonl, queries.jsonl and qrels.tsv, found {'a file' if found.exists() else 'nothing'}"
        )
    return found


def _find(folder: FilePlace, *names: str) -> FilePlace:
    each = [f"{name}{end}" for name in names for end in ("", ".gz")]
    found: FilePlace | None
    if isinstance(folder, Path):
        found, why = next((folder / name for name in each if (folder / name).is_file()), None), "none"
    else:
        found, why = _find_far(folder, each)
    if found is None:
        refuse(f"sample {folder}", f"a file {' or '.join(names)} (or with .gz) in this folder", why)
    return found


def _find_far(folder: str, names: list[str]) -> tuple[str | None, str]:
    """The address of the first of ``names`` that is there, or why there is none."""
    why = "none"
    try:
        look_anew(folder)
        for name in names:
            try:
                if kind(f"{folder}/{name}") == "file":
                    return f"{folder}/{name}", ""
            except (FileNotFoundError, NotADirectoryError):
                pass
            except PermissionError as error:  # also of a file that is missing, to those who may not list them
                why = str(error)
    except OSError as error:
        why = str(error)
    return None, f"{why}; {REPAIR}"


def entries(path: FilePlace) -> Iterator[tuple[str, str]]:
    """The ids of a corpus or of queries, each once, with their texts; a title stands before the text, with a space
    between."""
    seen: set[str] = set()
    for where, record in records(path):
        key = record.get("_id", record.get("id"))
        if not isinstance(key, str | int) or str(key) in seen:
            refuse(where, 'a new "_id" or "id", a string or an integer', f"{key!r:.60}")
        seen.add(str(key))
        text = text_of(record, "text", where)
        yield str(key), f"{text_of(record, 'title', where)} {text}" if record.get("title") else text


def judgements(path: FilePlace) -> Iterator[tuple[str, str, str, int]]:
    """Place, query, document and grade of each line: columns that a header names, or without one these three, or the four
    of TREC, between tabs or spaces."""
    columns: tuple[int, int, int] | None = None
    width, name = 0, "grade"
    for where, cut in cells(path):
        row = cut[0].split() if len(cut) == 1 else cut
        if columns is None:
            width, columns = len(row), _header(row)
            if columns is not None:
                name = row[columns[2]]
                continue
            if width not in (3, 4):
                refuse(
                    where,
                    " or ".join(", ".join(names) for names in _NAMES) + ", or these columns without a header",
                    f"{width} columns: {', '.join(row)!r:.80}",
                )
            columns = (0, width - 2, width - 1)
        if len(row) != width:
            refuse(where, f"{width} columns as in the first line", str(len(row)))
        query, document, said = (row[column] for column in columns)
        yield where, query, document, grade_of({name: said}, name, where)


def _header(row: list[str]) -> tuple[int, int, int] | None:
    names = [name.strip().lower().replace("_", "-") for name in row]
    for wanted in _NAMES:
        if set(wanted) <= set(names):
            query, document, grade = (names.index(name) for name in wanted)
            return query, document, grade
    return None
