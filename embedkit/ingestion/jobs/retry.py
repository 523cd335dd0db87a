"""The rows of a dead-letter file, tried again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from embedkit.checks import path_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.ingestion.chunking.chunked import Chunking, chunked
from embedkit.ingestion.pipeline.ingest import ingest
from embedkit.ingestion.pipeline.report import IngestError, IngestInterrupted, IngestReport
from embedkit.ingestion.readers.files import read
from embedkit.ingestion.readers.registry import FORMATS
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.readers.tables.delimited import table_row
from embedkit.ingestion.readers.tables.jsonlines import json_row
from embedkit.ingestion.rows.dead_letters import is_dead_letters
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.media import located
from embedkit.ingestion.rows.row import DUPLICATE, BadRow, Row, SourcedDocument
from embedkit.records.coercion import MetadataMode
from embedkit.records.metadata import load_metadata
from embedkit.stores.contract import Metric
from embedkit.stores.guarded import GuardedStore
from embedkit.system.atomic import move
from embedkit.system.files.lines import NOT_UTF_8, TooLong, lines, shown
from embedkit.system.renames import renamed

_ESCAPE = re.compile(r"\\x[89a-f][0-9a-f]")


@renamed(metadata="metadata_policy")
def retry(
    letters: str | os.PathLike[str],
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    fields: Fields | None = None,
    chunking: Chunking | None = None,
    role: str = "document",
    metric: Metric | None = None,
    metadata_policy: MetadataMode = "strict",
    progress: bool | None = False,
    window: int | None = None,
    outputs: Sequence[str] | None = None,
) -> IngestReport:
    """`embedkit.ingest` of the rows in a dead-letter file, which then holds those that fail still, or is gone.

    The file stays as it is until the run has come to its end, so that one that is cut loses no row. Rows may be
    repaired in the file before: ``document`` is tried where it is there, else ``row``, with ``fields``; of a file that
    could not be read all rows are read again. A row that repeats an id fails until its document has another one.

    Args:
        letters: a dead-letter file that an ingest wrote.
        encoder: what gives the vectors.
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name.
        fields: which part of a row is what, as the ingest had it (the root of its pictures too); by default ``id`` and ``text``, the
            rest is metadata.
        chunking: how rows that were never cut are cut; chunks are written as they are. None: not at all.
        role: the bundle's role by which the texts are encoded; ``document`` by default.
        metric: for a new collection; by default the model's own.
        metadata_policy: what is done with values that no store can keep; ``strict`` by default.
        progress: whether a bar is drawn on stderr; None: where stderr is a terminal; False by default.
        window: how many rows are encoded and written together, as in the ingest.
        outputs: names of what of the bundle is kept, as in the ingest.

    Returns:
        What became of the rows.

    Raises:
        InputError: ``letters`` is no dead-letter file.
        EmbedkitError: what the ingest raises, so `IngestError` where the store refuses all of the rows.
    """
    check_encoder(encoder)
    path = Path(path_of("letters", letters))
    if not path.is_file() or not is_dead_letters(path):
        raise InputError(
            f"retry: {path} is no dead-letter file; give one that an ingest wrote, such as docs.dead.jsonl"
        )
    left = Path(f"{path}.retrying")
    left.unlink(missing_ok=True)
    rows = LetterRows(path, fields or Fields())
    try:
        report = ingest(
            chunked(rows, encoder, chunking, role=role, metadata_policy=metadata_policy) if chunking else rows,
            encoder,
            store,
            collection=collection,
            role=role,
            metric=metric,
            metadata_policy=metadata_policy,
            dead_letters=left,
            progress=progress,
            window=window,
            outputs=outputs,
        )
    except (IngestError, IngestInterrupted) as error:
        error.report = replace(error.report, dead_letters=str(path))
        raise
    else:
        if not report.dead:
            path.unlink()
            return report
        move(left, path)
        return replace(report, dead_letters=str(path))
    finally:
        with suppress(OSError):
            left.unlink(missing_ok=True)


_KINDS: dict[str, Any] = {"source": str, "line": int, "reason": str, "row": str, "id": str | None, "format": str}
"""What a letter says of its row, in the order of `BadRow`."""


class LetterRows:
    """The rows of a dead-letter file, each in the place where it was read first."""

    def __init__(self, path: Path, fields: Fields) -> None:
        self.path, self.fields = path, fields
        self.paths = [str(path)]

    def __iter__(self) -> Iterator[Row]:
        with self.path.open("rb") as file:
            for number, raw in lines(file):
                if isinstance(raw, TooLong):
                    yield BadRow(str(self.path), number, str(raw), shown(raw.beginning))
                elif raw.strip():
                    yield from self._letter(shown(raw.rstrip(b"\r\n")), number)

    def _letter(self, raw: str, number: int) -> Iterator[Row]:
        try:
            letter = json.loads(raw)
            bad = _bad_row({"format": "jsonl", **letter})
            document = _document(letter.get("document"), bad, self.fields.media.root)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"no dead letter can be read here: {type(error).__name__}: {error}"
            yield BadRow(str(self.path), number, reason, raw, None, "letter")
            return
        if bad.reason.startswith(DUPLICATE) and document and document.id == bad.id:
            yield replace(bad, document=document)
        elif document:
            yield document
        else:
            yield from self._row(bad)

    def _row(self, bad: BadRow) -> Iterator[Row]:
        """What ``row`` holds, by its format."""
        source = Source.of(bad.source, bad.id or bad.source, bad.format)
        if bad.format == "jsonl":
            yield json_row(bad.row.encode("utf-8", "surrogatepass"), bad.line, source, self.fields)
        elif source.format in ("csv", "tsv") and bad.reason.startswith(NOT_UTF_8) and _ESCAPE.search(bad.row):
            yield bad  # as it was: its bytes that are no UTF-8 stand there as escapes, which are no text of the table
        elif source.format in ("csv", "tsv"):
            yield replace(table_row(bad.row, bad.line, source, self.fields), line=bad.line)
        elif bad.format == "record":
            try:
                yield source.row(load_metadata(bad.row), bad.line, self.fields)
            except (ValueError, KeyError, RecursionError) as error:
                yield replace(bad, reason=f"broken JSON: {error}")
        elif bad.format.startswith("file:"):
            form, _, file_id = bad.format.removeprefix("file:").partition(":")
            try:
                yield from read(Source.of(bad.row, file_id, form), self.fields)
            except (InputError, UnicodeEncodeError) as error:  # a name with half of a surrogate pair
                yield replace(bad, reason=str(error))
        elif bad.format == "letter":
            yield from self._letter(bad.row, bad.line)
        else:
            yield bad


def _document(value: Mapping[str, Any] | None, bad: BadRow, root: str | None) -> SourcedDocument | None:
    if value is None:
        return None
    if not (isinstance(value["id"], str) and isinstance(value["text"], str)):
        raise ValueError("the document's id and text are strings")
    metadata = load_metadata(json.dumps(value["metadata"]))
    place = located(metadata, root)
    there = str(place["uri"]) if place is not metadata else ""
    return SourcedDocument(
        value["id"], value["text"], metadata, source=bad.source, line=bad.line, row=bad.row, place=there
    )


def _bad_row(letter: dict[str, Any]) -> BadRow:
    """The row of a letter; raises `KeyError` or `ValueError` where the letter was not written by an ingest."""
    for name, kind in _KINDS.items():
        if not isinstance(letter[name], kind) or isinstance(letter[name], bool):
            raise ValueError(f"{name} is {letter[name]!r:.60}")
    file, _, rest = letter["format"].partition(":")
    if file == "file" and rest.partition(":")[0] not in FORMATS:
        raise ValueError(f"format is {letter['format']!r:.60}")
    return BadRow(*(letter[name] for name in _KINDS))
