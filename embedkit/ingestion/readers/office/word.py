"""Word: a file is one document of its paragraphs and tables, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.records.metadata import Metadata
from embedkit.system.extras import needed
from embedkit.system.files.lines import Unreadable

from .package import package, paragraphs, read_document, table

_MOST_SPANNED = 1_000_000
"""Columns that the merged cells of a file span, together: each is read as so many cells."""
_HEADING = re.compile(r"(?:Heading ([1-6])|(Title))\Z")


def read_docx(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a Word file: headings as in Markdown (``## Tea``), so that it is cut at them too, tables a row a line, and
    ``title`` where it has one. What stands in headers, footers, notes and boxes is left out. What is broken, or unpacks to too
    much, is a bad row. Raises `MissingExtraError` without python-docx."""
    needed("docx", "reading Word files", extra="office")
    yield from read_document(file, source, fields, _parse)


def _parse(raw: bytes) -> tuple[str, Metadata]:
    import docx

    document = docx.Document(package(raw))
    spans = document.element.xpath("//w:gridSpan/@w:val")
    if any(len(span) > len(str(_MOST_SPANNED)) for span in spans) or sum(map(int, spans)) > _MOST_SPANNED:
        raise Unreadable(f"cells of its tables span more than {_MOST_SPANNED:,} columns")
    return paragraphs(map(_text, document.iter_inner_content())), {"title": document.core_properties.title.strip()}


def _text(block: Any) -> str:
    if hasattr(block, "rows"):
        return table((cell.text for cell in row.cells) for row in block.rows)
    match = _HEADING.match(block.style.name or "") if block.style is not None else None
    return f"{'#' * int(match[1] or 1)} {block.text.strip()}" if match and block.text.strip() else block.text
