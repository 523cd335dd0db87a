"""The user's own sample: texts that calibrate int8 and decide the gate, with labels (pairs or searches) where there
are some."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from embedkit.checks import check_text
from embedkit.errors import InputError
from embedkit.evaluation.beir import Files, entries, judgements
from embedkit.evaluation.labelled import Record, grade_of, number_of, records, refuse, text_of

Item: TypeAlias = str | dict[str, str]
"""A text, or the fields of a template that reads several."""

RESERVED = 200
"""The most texts that are kept for calibration and therefore never judged."""
LIMIT = 2_000

_PAIRS = (("text1", "text2", "score"), ("sentence1", "sentence2", "score"))


@dataclass(frozen=True)
class Pair:
    """Two texts and how alike a person finds them; a higher ``score``, on any scale, is more alike."""

    a: str
    b: str
    score: float


@dataclass(frozen=True)
class Query:
    """A search; ``relevant`` maps indices of the sample's documents to grades over 0."""

    text: str
    relevant: dict[int, int]


@dataclass(frozen=True)
class Sample:
    """What an export is calibrated and judged on. All is in the order of digests: the same content gives the same
    sample, whatever order it came in."""

    name: str
    texts: tuple[Item, ...]
    """All different texts, at least two, none blank; of a labelled sample those of its pairs, queries, documents."""
    pairs: tuple[Pair, ...] = ()
    queries: tuple[Query, ...] = ()
    documents: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out, with its count."""

    def calibration(self, n: int = RESERVED) -> list[Item]:
        """Up to ``n`` texts to fit scales to: of the first half, and of no more than `RESERVED` texts."""
        return list(self.texts[: min(n, self._border)])

    def judged(self, n: int = 300) -> list[Item]:
        """Up to ``n`` texts for the gate; none of them is ever a calibration text."""
        return list(self.texts[self._border : self._border + n])

    @property
    def _border(self) -> int:
        return min(RESERVED, len(self.texts) // 2)


def read(
    path: Path | None,
    *,
    fields: Sequence[str] = ("text",),
    optional: Collection[str] = (),
    limit: int | None = LIMIT,
) -> Sample:
    """The sample in ``path``, by default docstrings of Python's standard library.

    A file may end in ``.gz``. Its form is that of its first record, and every record must have it:

    - plain text, one text a line (any file that is not named as below);
    - JSON lines (``.jsonl``, ``.ndjson``), or a table with a header (``.tsv`` without quoting, ``.csv``), that have
      - the ``fields``: texts; or
      - ``text1``, ``text2``, ``score`` (or ``sentence1``, ``sentence2``): labelled pairs;
    - JSON lines with ``query``, ``relevant`` and perhaps ``irrelevant``: searches. Both hold documents, each a text or
      ``{"text": ..., "grade": ...}``; the documents of all lines together are searched.

    A folder is read as BEIR lays it out: ``corpus.jsonl`` (or ``docs.jsonl``), ``queries.jsonl`` and ``qrels.tsv`` (or
    ``qrels/test.tsv``). A document's title stands before its text, with a space between.

    Blank texts, repeated ones, pairs and relevances with a blank text, relevances of unknown ids and queries without a
    relevant document are left out and counted in ``notes``. Equal queries and equal documents become one, with the
    highest of their grades; a grade of 0 or less is not relevant. Repeated pairs stay: they weigh more.

    Args:
        path: a file or folder.
        fields: those the model's template reads. One gives texts as strings, several give dicts.
        optional: those of ``fields`` that a record may lack.
        limit: the most documents (of which the relevant ones of the kept queries take no more than half), queries and
            pairs; of more, those with the first digests are kept. None for no limit.

    Raises:
        InputError: the sample cannot be used; the message names file, line, and what was expected and found.
    """
    if limit is not None and limit < 2:
        raise InputError(f"limit: expected at least 2, found {limit}")
    notes: Counter[str] = Counter()
    if path is None:
        return _texts("docstrings of Python's standard library", _docstrings(fields), fields, fields, notes)
    form, records = ("searches", iter(())) if path.is_dir() else _form(path, fields, optional)
    if form != "texts" and len(fields) > 1:
        raise InputError(
            f"sample {path}: expected JSON lines with the fields {', '.join(fields)}, which the model's template reads; "
            f"found {form}, whose texts have no fields"
        )
    if form == "texts":
        return _texts(path.name, records, fields, optional, notes)
    if form == "pairs":
        return _pairs(path, records, limit, notes)
    graded, corpus = _folder(path, notes) if path.is_dir() else _searches(records, notes)
    return _retrieval(path, graded, corpus, limit, notes)


def _docstrings(fields: Sequence[str]) -> Iterator[Record]:
    from embedkit.ingestion.readers.docstrings import standard_library

    main = "text" if "text" in fields else fields[-1]
    for document in standard_library():
        yield document.id, {field: document.text if field == main else document.id for field in fields}


def _form(path: Path, fields: Sequence[str], optional: Collection[str]) -> tuple[str, Iterator[Record]]:
    """What the records of a file are: "texts", "pairs" or "searches"; and the records."""
    found = records(path)
    where, first = next(found, ("", {}))
    if any(first.keys() >= set(names) for names in _PAIRS):
        form = "pairs"
    elif first.keys() >= {"query", "relevant"}:
        form = "searches"
    elif first.keys() >= set(fields) - set(optional):
        form = "texts"
    else:
        forms = " or ".join(" + ".join(names) for names in (fields, *_PAIRS, ("query", "relevant")))
        refuse(where or f"sample {path}", forms, "the fields " + ", ".join(map(str, first)) if first else "nothing")
    return form, chain([(where, first)], found)


def _texts(
    name: str, records: Iterable[Record], fields: Sequence[str], optional: Collection[str], notes: Counter[str]
) -> Sample:
    items: list[Item] = []
    for where, record in records:
        values = {f: text_of(record, f, where) for f in fields if f in record or f not in optional}
        if any(value.strip() for value in values.values()):
            items.append(values if len(fields) > 1 else values[fields[0]])
        else:
            notes["blank texts left out"] += 1
    different = {_digest(item): item for item in items}
    notes["repeated texts left out"] = len(items) - len(different)
    return _sample(name, different.values(), notes)


def _sample(name: str, items: Iterable[Item], notes: Counter[str], **labels: Any) -> Sample:
    texts = sorted(items, key=_digest)
    if len(texts) < 2:
        refuse(f"sample {name}", "at least two different texts", f"{len(texts)}; a few hundred typical ones are best")
    counts = tuple(f"{what}: {count:,}" for what, count in sorted(notes.items()) if count)
    return Sample(name, tuple(texts), notes=counts, **labels)


def _pairs(path: Path, records: Iterable[Record], limit: int | None, notes: Counter[str]) -> Sample:
    pairs = []
    for where, record in records:
        first, second, score = next((names for names in _PAIRS if record.keys() >= set(names)), _PAIRS[0])
        pair = Pair(text_of(record, first, where), text_of(record, second, where), number_of(record, score, where))
        if pair.a.strip() and pair.b.strip():
            pairs.append(pair)
        else:
            notes["pairs with a blank text left out"] += 1
    pairs.sort(key=lambda pair: _digest([pair.a, pair.b, pair.score]))
    kept = pairs[:limit]
    notes["pairs beyond the limit left out"] = len(pairs) - len(kept)
    scores = {pair.score for pair in kept}
    if len(scores) < 2:
        found = f"the score {scores.pop():g} only" if scores else "none"
        refuse(f"sample {path}", "pairs with different scores", f"{found}: rank correlation is undefined there")
    texts = {text for pair in kept for text in (pair.a, pair.b)}
    return _sample(path.name, texts, notes, pairs=tuple(kept))


def _searches(records: Iterable[Record], notes: Counter[str]) -> tuple[dict[str, dict[str, int]], set[str]]:
    """Query -> document -> grade, and all documents."""
    graded: dict[str, dict[str, int]] = {}
    corpus: set[str] = set()
    for where, record in records:
        query = text_of(record, "query", where)
        notes["repeated queries joined"] += query in graded
        grades = graded.setdefault(query, {})
        relevant = list(_listed(record, "relevant", where))
        others = list(_listed(record, "irrelevant", where)) if "irrelevant" in record else []
        if both := sorted({text for text, _ in relevant} & {text for text, _ in others}):
            refuse(where, "a document to be relevant or irrelevant", f"both: {both[0]!r:.60}")
        for text, grade in [*relevant, *((text, 0) for text, _ in others)]:
            if not text.strip():
                notes["blank documents left out"] += 1
            else:
                corpus.add(text)
                grades[text] = max(grade, grades.get(text, 0))
    notes["blank queries left out"] = sum(not query.strip() for query in graded)
    return {query: grades for query, grades in graded.items() if query.strip()}, corpus


def _listed(record: dict[str, Any], name: str, where: str) -> Iterator[tuple[str, int]]:
    """The documents of a list, each with its grade (1 where none is given)."""
    documents = record.get(name)
    if not isinstance(documents, list):
        refuse(where, f'a list of documents in "{name}"', type(documents).__name__)
    for document in documents:
        if isinstance(document, dict):
            yield text_of(document, "text", where), grade_of(document, "grade", where) if "grade" in document else 1
        else:
            yield check_text(document, f'{where}, field "{name}"'), 1


def _folder(path: Path, notes: Counter[str]) -> tuple[dict[str, dict[str, int]], set[str]]:
    """As `_searches`, of a folder in the form of BEIR."""
    found = Files.of(path)
    documents = _by_id(found.corpus, "documents", notes)
    queries = _by_id(found.queries, "queries", notes)
    graded: dict[str, dict[str, int]] = {text: {} for text in queries.values()}
    for _, query, document, grade in judgements(found.judgements):
        if query not in queries or document not in documents:
            notes["relevances of unknown or blank queries or documents left out"] += 1
        else:
            grades = graded[queries[query]]
            grades[documents[document]] = max(grade, grades.get(documents[document], 0))
    return graded, set(documents.values())


def _by_id(path: Path | str, what: str, notes: Counter[str]) -> dict[str, str]:
    """id -> text; blank ones are left out."""
    found: dict[str, str] = {}
    for key, text in entries(path):
        if text.strip():
            found[key] = text
        else:
            notes[f"blank {what} left out"] += 1
    notes[f"repeated {what} joined"] = len(found) - len(set(found.values()))
    return found


def _retrieval(
    path: Path, graded: dict[str, dict[str, int]], corpus: set[str], limit: int | None, notes: Counter[str]
) -> Sample:
    relevant = {query: {d: grade for d, grade in grades.items() if grade > 0} for query, grades in graded.items()}
    asked = sorted((query for query, grades in relevant.items() if grades), key=_digest)
    notes["queries without a relevant document left out"] = len(relevant) - len(asked)
    # Half of a corpus that must be cut is for others, or nothing would be left to tell the relevant ones from.
    most = len(corpus) if limit is None or len(corpus) <= limit else limit // 2
    kept: list[str] = []
    needed: set[str] = set()
    for query in asked[:limit]:
        if len(needed) + len(relevant[query].keys() - needed) > most:
            break
        needed |= relevant[query].keys()
        kept.append(query)
    if not kept:
        found = f"{len(relevant[asked[0]])} for one; raise the limit of {limit}" if asked else "none for any"
        refuse(f"sample {path}", "queries with relevant documents", found)
    others = sorted(corpus - needed, key=_digest)[: None if limit is None else limit - len(needed)]
    documents = sorted([*needed, *others], key=_digest)
    notes["queries beyond the limit left out"] = len(asked) - len(kept)
    notes["documents beyond the limit left out"] = len(corpus) - len(documents)
    place = {text: index for index, text in enumerate(documents)}
    queries = tuple(Query(q, dict(sorted((place[d], grade) for d, grade in relevant[q].items()))) for q in kept)
    return _sample(path.name, {*documents, *kept}, notes, queries=queries, documents=tuple(documents))


def _digest(value: object) -> bytes:
    whole = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(whole.encode()).digest()
