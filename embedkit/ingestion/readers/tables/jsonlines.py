"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from embedkit.ingestion.readers.lines import TooLong, lines, not_utf8, shown
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields, kind_of
from embedkit.ingestion.rows.row import BadRow, Row


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
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BadRow(source.name, number, not_utf8(error), line, None, "jsonl")
    except (ValueError, RecursionError) as error:
        return BadRow(source.name, number, f"broken JSON: {error}", line, None, "jsonl")
    if not isinstance(value, dict):
        reason = f"expected a JSON object, found {kind_of(value)}"
        return BadRow(source.name, number, reason, line, None, "jsonl")
    return source.row(value, number, fields, line, "jsonl")
