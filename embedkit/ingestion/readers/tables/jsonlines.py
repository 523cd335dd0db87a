"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import BadRow, Row
from embedkit.system.files.jsonlines import json_object
from embedkit.system.files.lines import NotText, TooLong, Unreadable, lines, shown


def read_json_lines(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of JSON lines; blank lines are none."""
    for number, raw in lines(file):
        if isinstance(raw, TooLong):
            yield BadRow(source.name, number, str(raw), shown(raw.beginning))
        elif raw.strip():
            yield json_row(raw.rstrip(b"\r\n"), number, source, fields)


def json_row(raw: bytes, number: int, source: Source, fields: Fields) -> Row:
    """The row of one line."""
    line = shown(raw)
    try:
        value = json_object(raw)
    except Unreadable as error:
        reason = source.not_text(error) if isinstance(error, NotText) else str(error)
        return BadRow(source.name, number, reason, line, None, "jsonl")
    return source.row(value, number, fields, line, "jsonl")
