"""Pictures: a file is one document, whose text is its caption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from embedkit.ingestion.readers.media.pictures import caption_beside, of_file
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import BadRow, Row
from embedkit.runtime.frontends.media import Undecodable


def read_picture(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a picture's file. Its text is what stands in the file of its name with ``.txt`` beside it, or its id; its
    metadata are ``uri`` (the path as it was opened, from which it is encoded, or that from ``fields.media.root``), ``media``, ``width``
    and ``height`` in pixels, and the ``sha256`` of its bytes. What a camera wrote into it is kept where that was asked for."""
    try:
        about = of_file(source.path, fields.media.exif)
        caption = caption_beside(source.path)
        uri = fields.media.uri(source.path)
    except (Undecodable, OSError, ValueError) as error:
        yield source.bad(str(error))
        return
    row = source.document(caption or source.id, about, fields)
    yield row if isinstance(row, BadRow) else replace(row, metadata={**row.metadata, "uri": uri}, place=source.path)
