"""Rows on their way into a store: where each was read, and why one cannot be kept."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..errors import InputError
from ..records import Document, check_id, check_text, content_hash


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not written. ``row`` is the row as it was read, so that it can be repaired and read again."""

    source: str
    line: int
    reason: str
    row: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class SourcedDocument(Document):
    """A document that knows the ``line`` of the ``source`` it was read from, and how it stood there (``row``)."""

    source: str = ""
    line: int = 0
    row: str = ""


def sourced(item: object, ordinal: int) -> SourcedDocument | BadRow:
    """What `embedkit.ingest` was given, with a place: a plain document is a line of the source ``documents``."""
    if isinstance(item, SourcedDocument | BadRow):
        return item
    if not isinstance(item, Document):
        raise InputError(f"documents: expected embedkit.Document, found {type(item).__name__} as number {ordinal}")
    return SourcedDocument(item.id, item.text, item.metadata, source="documents", line=ordinal)


def refused(document: SourcedDocument, reason: str) -> BadRow:
    """The document as a bad row."""
    row_id = document.id if isinstance(document.id, str) else None
    return BadRow(document.source, document.line, reason, document.row or _as_json(document), row_id)


def fingerprint_of(document: SourcedDocument) -> str:
    """The content hash; raises `InputError` saying why the document cannot be kept (id, text or metadata)."""
    check_id(document.id)
    if not check_text(document.text).strip():
        raise InputError(
            "text: expected some text, found " + ("only whitespace" if document.text else "an empty string")
        )
    return content_hash(document.text, document.metadata)


def _as_json(document: Document) -> str:
    whole = {"id": document.id, "text": document.text, "metadata": document.metadata}
    try:
        return json.dumps(whole, default=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(whole)
