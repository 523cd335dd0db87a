"""Rows on their way into a store: where each was read, and why one cannot be kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from embedkit.checks import check_id, check_text, printed
from embedkit.errors import InputError
from embedkit.records.documents import Document
from embedkit.records.metadata import content_hash, dump_metadata
from embedkit.records.scalars import reading

from .fields import Fields, NoDocument, text_id


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not written. ``row`` is the row as it was read, so that it can be repaired and read again.

    ``format`` says how ``row`` is to be read again: ``jsonl``, ``csv`` or ``tsv`` (with the header), ``record`` (the
    fields as JSON, as `embedkit.records.dump_metadata` writes them), ``file:FORMAT:ID`` (the path of a file of which
    something could not be read, and the id that it has as a document), or nothing. ``document`` is what was made of the
    row, where that is not the trouble.
    """

    source: str
    line: int
    reason: str
    row: str
    id: str | None = None
    format: str = ""
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class Within:
    """Where a chunk that is pooled late stands in what is read with it: the characters from ``start`` to ``end`` of ``text``, a part of
    the ``document`` that the model reads whole. Chunks of one part share the text."""

    text: str
    start: int
    end: int
    document: SourcedDocument


@dataclass(frozen=True, slots=True)
class SourcedDocument(Document):
    """A document that knows the ``line`` of the ``source`` it was read from, and how it stood there (``row``); ``place`` is where its
    file lies, where it stands for one, and ``within`` what a chunk is read with."""

    source: str = ""
    line: int = 0
    row: str = ""
    place: str = ""
    within: Within | None = None

    @property
    def about(self) -> Mapping[str, Any]:
        """The metadata as what is encoded is made of them: with the file's place as ``uri``."""
        return {**self.metadata, "uri": self.place} if self.place else self.metadata


Row: TypeAlias = SourcedDocument | BadRow

DUPLICATE = "duplicate id with other content"
"""How the reason begins where a row has the id of another."""

_FIELDS, _TEXTLESS = Fields(), Fields(textless=True)


def sourced(item: object, ordinal: int, *, textless: bool = False) -> Row:
    """What `embedkit.ingest` was given, with a place: what was read from no file is a line of the source ``documents``.

    A mapping is a row as in JSON lines (which may be ``textless``), a string a document whose id is a hash of its text.
    """
    if isinstance(item, SourcedDocument | BadRow):
        return item
    if isinstance(item, Document):
        return SourcedDocument(item.id, item.text, item.metadata, source="documents", line=ordinal)
    if isinstance(item, str):
        return SourcedDocument(text_id(item), item, {}, source="documents", line=ordinal)
    if isinstance(item, Mapping):
        try:
            with reading("the row"):
                return _of_fields(item, ordinal, _TEXTLESS if textless else _FIELDS)
        except InputError as error:
            return BadRow("documents", ordinal, str(error), shown_as_json(item))
    raise InputError(
        f"documents: expected embedkit.Document, a mapping with 'id' and 'text', or a string, "
        f"found {type(item).__name__} as number {ordinal}"
    )


def _of_fields(item: Mapping[str, Any], ordinal: int, fields: Fields) -> Row:
    try:
        found = fields.document(item, path="documents", line=ordinal)
    except NoDocument as bad:
        raw, form = recorded(item, as_line=True)
        return BadRow("documents", ordinal, bad.reason, raw, bad.id, form)
    return SourcedDocument(*found, source="documents", line=ordinal)


def refused(document: SourcedDocument, reason: str) -> BadRow:
    """The document as a bad row; where it is a file of its own as that file, which is read again once it is repaired, and where it is a
    chunk that is pooled late as the whole document, without which it would have another vector."""
    row_id = document.id if isinstance(document.id, str) else None
    document = document.within.document if document.within else document
    if document.place and document.place == document.row and row_id:
        form = f"file:{document.metadata.get('media', 'image')}:{row_id}"
        return BadRow(document.source, document.line, reason, document.row, row_id, form)
    whole = {"id": document.id, "text": document.text, "metadata": document.metadata}
    row = document.row or shown_as_json(whole)
    return BadRow(document.source, document.line, reason, row, row_id, document=document)


def fingerprint_of(document: SourcedDocument) -> str:
    """The content hash, of a chunk that is pooled late with what is read with it; raises `InputError` saying why the document cannot be
    kept (id, text or metadata)."""
    with reading("the row"):
        check_id(document.id)
        if not check_text(document.text).strip():
            raise InputError(
                "text: expected some text, found " + ("only whitespace" if document.text else "an empty string")
            )
    own = content_hash(document.text, document.metadata)
    if document.within is None:
        return own
    read = f"{own} {document.within.start} {document.within.end} {document.within.text}"
    return hashlib.sha256(read.encode()).hexdigest()[: len(own)]


def recorded(value: Mapping[str, Any], *, as_line: bool = False) -> tuple[str, str]:
    """A row of fields as text, and the format by which this is to be read again: ``record`` (with ``as_line`` first of all
    ``jsonl``, where it is JSON); none where its values cannot be kept, so that nothing else is read in their place."""
    if as_line:
        with suppress(Exception):  # of a stranger's value
            return json.dumps(value), "jsonl"
    try:
        return dump_metadata(value), "record"
    except InputError:
        return shown_as_json(value), ""


def shown_as_json(value: Mapping[str, object]) -> str:
    """The value as JSON, or where that cannot be as Python shows it."""
    try:
        return json.dumps(value, default=printed)
    except Exception:  # of a stranger's value
        return printed(value)
