"""PowerPoint: a file is one document of its slides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.records.metadata import Metadata
from embedkit.system.extras import needed

from .package import package, paragraphs, read_document, table


def read_pptx(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a PowerPoint file: of each slide its title as a heading of Markdown, so that it is cut there too, then texts
    and tables, then the speaker's notes; ``title`` where the file has one, and the number of ``slides``. What is broken, or unpacks to
    too much, is a bad row. Raises `MissingExtraError` without python-pptx."""
    needed("pptx", "reading PowerPoint files", extra="office")
    yield from read_document(file, source, fields, _parse)


def _parse(raw: bytes) -> tuple[str, Metadata]:
    import pptx

    shown = pptx.Presentation(package(raw))
    slides = [paragraphs(_texts(slide)) for slide in shown.slides]
    return paragraphs(slides), {"title": shown.core_properties.title.strip(), "slides": len(slides)}


def _texts(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and title.text_frame.text.strip():
        yield f"# {' '.join(title.text_frame.text.split())}"
    yield from _of(slide.shapes, None if title is None else title.shape_id)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text


def _of(shapes: Any, but: int | None) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _of(shape.shapes, but)
        elif getattr(shape, "has_table", False):
            yield table((cell.text for cell in row.cells) for row in shape.table.rows)
        elif shape.has_text_frame and shape.shape_id != but:
            yield shape.text_frame.text
