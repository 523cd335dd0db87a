"""Pictures: a file is one document, whose text is its caption."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import BadRow, Row
from embedkit.runtime.frontends.image.decoding import MAX_PICTURE_BYTES, size_of
from embedkit.runtime.frontends.media import Undecodable
from embedkit.system.files.lines import not_utf8

_LONGEST_CAPTION = 1 << 20


def read_picture(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a picture's file. Its text is what stands in the file of its name with ``.txt`` beside it, or its id; its
    metadata are ``uri`` (the path as it was opened, from which it is encoded), ``media``, ``width`` and ``height`` in pixels,
    and the ``sha256`` of its bytes. What a camera wrote into it is not kept."""
    data = file.read(MAX_PICTURE_BYTES + 1)
    try:
        width, height = size_of(data)
        caption = _caption(source.path)
    except (Undecodable, OSError) as error:
        yield source.bad(str(error))
        return
    sha256 = hashlib.sha256(data).hexdigest()
    about = {"media": "image", "width": width, "height": height, "sha256": sha256}
    row = source.document(caption or source.id, about, fields)
    yield row if isinstance(row, BadRow) else replace(row, metadata={**row.metadata, "uri": source.path})


def _caption(path: str) -> str:
    beside = os.path.splitext(path)[0] + ".txt"
    if not os.path.isfile(beside):
        return ""
    with open(beside, "rb") as file:
        caption = file.read(_LONGEST_CAPTION)
    try:
        return caption.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Undecodable(f"its caption {beside} is {not_utf8(error)}; save it in UTF-8") from error
