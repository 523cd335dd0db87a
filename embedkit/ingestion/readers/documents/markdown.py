"""Markdown: a file is one document, with its front matter as metadata."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.system.files.lines import TooLong, not_utf8, whole

from .front_matter import NoFrontMatter, split_front_matter

_log = logging.getLogger("embedkit")


def read_markdown(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a Markdown file in UTF-8; its text stays as it is, without the front matter.

    Front matter is YAML between two lines ``---`` at the very beginning; what cannot be read as such is told (by a warning of
    the logger ``embedkit``) and belongs to the text. Raises `MissingExtraError` where a file has some and PyYAML is not
    installed.
    """
    try:
        text = whole(file).decode("utf-8")
    except TooLong as error:
        yield source.bad(str(error))
        return
    except UnicodeDecodeError as error:
        yield source.bad(source.not_text(not_utf8(error)))
        return
    try:
        text, metadata = split_front_matter(text)
    except NoFrontMatter as error:
        _log.warning("%s: %s; it is kept as text", source.name, error)
        metadata = {}
    yield source.document(text, metadata, fields)
