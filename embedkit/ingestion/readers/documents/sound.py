"""Sounds: a file is one document, whose text is its caption."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from embedkit.ingestion.readers.media.known import facts_of
from embedkit.ingestion.readers.media.pictures import caption_beside
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import BadRow, Row
from embedkit.runtime.frontends.audio.decoding import seconds_of
from embedkit.runtime.frontends.media import Undecodable


def read_sound(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a sound's file. Its text is what stands in the file of its name with ``.txt`` beside it, or its id; its
    metadata are ``uri`` (the path as it was opened, from which it is encoded, or that from ``fields.media.root``), ``media``,
    ``seconds`` and the ``sha256`` of its bytes."""
    try:
        about = facts_of(source.path, "audio 1", lambda: _facts(file, source.path))
        caption = caption_beside(source.path)
        uri = fields.media.uri(source.path)
    except (Undecodable, OSError, ValueError) as error:
        yield source.bad(str(error))
        return
    row = source.document(caption or source.id, about, fields)
    yield row if isinstance(row, BadRow) else replace(row, metadata={**row.metadata, "uri": uri}, place=source.path)


def _facts(file: BinaryIO, path: str) -> dict[str, Any]:
    seconds = seconds_of(Path(path))
    return {"media": "audio", "seconds": seconds, "sha256": hashlib.file_digest(cast(Any, file), "sha256").hexdigest()}
