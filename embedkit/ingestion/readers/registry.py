"""The formats that are read, and how a file's name tells its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from embedkit.ingestion.readers.documents.html import read_html
from embedkit.ingestion.readers.documents.markdown import read_markdown
from embedkit.ingestion.readers.documents.picture import read_picture
from embedkit.ingestion.readers.documents.plain import read_text
from embedkit.ingestion.readers.documents.sound import read_sound
from embedkit.ingestion.readers.office.pdf import read_pdf
from embedkit.ingestion.readers.office.sheets import read_xlsx
from embedkit.ingestion.readers.office.slides import read_pptx
from embedkit.ingestion.readers.office.word import read_docx
from embedkit.ingestion.readers.tables.arrow import count_parquet, read_arrow, read_parquet
from embedkit.ingestion.readers.tables.delimited import read_table
from embedkit.ingestion.readers.tables.jsonlines import read_json_lines
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.system.files import delimited, jsonlines
from embedkit.system.files.compression import uncompressed_name
from embedkit.system.files.lines import count_lines

from .source import Source


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is read. ``count`` gives the most rows that a file can have, without reading all of them. ``seeks``
    tells that it needs a plain file, ``binary`` that it is no text, ``media`` that its files are read only where they are asked
    for: a caption for a picture or a sound is no document of a collection of texts."""

    suffixes: tuple[str, ...]
    read: Callable[[BinaryIO, Source, Fields], Iterator[Row]]
    count: Callable[[str], int]
    seeks: bool = False
    binary: bool = False
    media: bool = False


def _one(path: str) -> int:
    return 1


def _unknown(path: str) -> int:
    return 0


PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au", ".caf", ".w64")
FORMATS = {
    "jsonl": Format(jsonlines.SUFFIXES, read_json_lines, count_lines),
    "csv": Format(delimited.SUFFIXES["csv"], read_table, count_lines),
    "tsv": Format(delimited.SUFFIXES["tsv"], read_table, count_lines),
    "parquet": Format((".parquet", ".pq"), read_parquet, count_parquet, seeks=True, binary=True),
    "arrow": Format((".arrow", ".feather", ".ipc", ".arrows"), read_arrow, _unknown, binary=True),
    "xlsx": Format((".xlsx", ".xlsm"), read_xlsx, _unknown, binary=True),
    "markdown": Format((".md", ".markdown"), read_markdown, _one),
    "html": Format((".html", ".htm", ".xhtml"), read_html, _one),
    "pdf": Format((".pdf",), read_pdf, _one, binary=True),
    "docx": Format((".docx",), read_docx, _one, binary=True),
    "pptx": Format((".pptx",), read_pptx, _one, binary=True),
    "text": Format((".txt", ".text"), read_text, _one),
    "image": Format(PICTURES, read_picture, _one, binary=True, media=True),
    "audio": Format(SOUNDS, read_sound, _one, binary=True, media=True),
}


def format_of(path: str) -> str:
    """The format that a file's name tells, without the suffix of a compression; nothing where it tells none, or media."""
    suffix = os.path.splitext(uncompressed_name(path))[1].lower()
    return next((name for name, form in FORMATS.items() if suffix in form.suffixes and not form.media), "")


def is_of(path: str, form: str) -> bool:
    """Whether a file's name has a suffix of the format."""
    return path.lower().endswith(FORMATS[form].suffixes)
