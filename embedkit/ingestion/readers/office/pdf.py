"""PDF: a file is one document of the text of its pages."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.records.metadata import Metadata
from embedkit.system.extras import needed
from embedkit.system.files.lines import MAX_BYTES, Unreadable

from .package import paragraphs, read_document


def read_pdf(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a PDF file: its pages with an empty line between each, ``title`` where it has one, and the number of
    ``pages``. What needs a password, has no text or is broken is a bad row. Raises `MissingExtraError` without pypdf."""
    needed("pypdf", "reading PDF", extra="office")
    yield from read_document(file, source, fields, _parse)


def _parse(raw: bytes) -> tuple[str, Metadata]:
    import pypdf

    with _silent():
        reader = pypdf.PdfReader(io.BytesIO(raw))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("it needs a password; save it anew without one")
        pages, length = [], 0
        for page in reader.pages:
            pages.append(page.extract_text())
            length += len(pages[-1])
            if length > MAX_BYTES:
                raise Unreadable(f"its text is longer than {MAX_BYTES:,} bytes")
        title = reader.metadata.title if reader.metadata else None
        return paragraphs(pages), {"title": str(title).strip() if title else "", "pages": len(pages)}


@contextmanager
def _silent() -> Iterator[None]:
    """Without pypdf's warnings of what it repairs."""
    log = logging.getLogger("pypdf")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
