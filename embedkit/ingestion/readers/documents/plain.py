"""Plain text: a file is one document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.system.files.lines import TooLong, not_utf8, whole


def read_text(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a text file in UTF-8."""
    try:
        yield source.document(whole(file).decode("utf-8"), {}, fields)
    except TooLong as error:
        yield source.bad(str(error))
    except UnicodeDecodeError as error:
        yield source.bad(source.not_text(not_utf8(error)))
