"""A search's folder as BEIR lays it out: a corpus, queries, and who judged which document relevant to which query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .labelled import cells, grade_of, records, refuse, text_of

_NAMES = (("query-id", "corpus-id", "score"), ("query-id", "doc-id", "relevance"))


@dataclass(frozen=True)
class Files:
    """The files of a folder: ``corpus.jsonl`` (or ``docs.jsonl``), ``queries.jsonl``, and ``qrels.tsv`` or
    ``qrels/SPLIT.tsv``, each plain or gzipped."""

    corpus: Path
    queries: Path
    judgements: Path

    @classmethod
    def of(cls, folder: Path, split: str = "test") -> Files:
        """Those of ``folder``; `InputError` naming the first that is not there."""
        return cls(
            _find(folder, "corpus.jsonl", "docs.jsonl"),
            _find(folder, "queries.jsonl"),
            _find(folder, "qrels.tsv", f"qrels/{split}.tsv"),
        )


def _find(folder: Path, *names: str) -> Path:
    found = [path for name in names for end in ("", ".gz") if (path := folder / f"{name}{end}").is_file()]
    if not found:
        refuse(f"sample {folder}", f"a file {' or '.join(names)} (or with .gz) in this folder", "none")
    return found[0]


def entries(path: Path) -> Iterator[tuple[str, str]]:
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


def judgements(path: Path) -> Iterator[tuple[str, str, str, int]]:
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
