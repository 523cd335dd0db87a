"""A file of an office as it is handed to the library that reads it: whole, and no larger unpacked than what this machine can hold."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from embedkit.errors import EmbedkitError
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.records.metadata import Metadata
from embedkit.system.files.lines import MAX_BYTES, TooLong, Unreadable, whole

MAX_UNPACKED = 4 * MAX_BYTES
"""Bytes of all parts of a package together."""
MAX_PARTS = 10_000
_XML = (".xml", ".rels")
_MAX_XML = 2 * MAX_BYTES  # which as a tree takes several times as much


def read_document(
    file: BinaryIO, source: Source, fields: Fields, parse: Callable[[bytes], tuple[str, Metadata]]
) -> Iterator[Row]:
    """The one document of a file: its text and what else it says of itself, as ``parse`` finds them in its bytes. What cannot be
    read, is too large or holds no text is a bad row."""
    try:
        text, about = parse(whole(file, keep_bom=True))
        if len(text.encode("utf-8", "replace")) > MAX_BYTES:
            raise Unreadable(f"its text is longer than {MAX_BYTES:,} bytes")
        if not text.strip():
            raise Unreadable("no text in it; what is scanned must be recognised (OCR) first")
    except EmbedkitError:
        raise
    except (TooLong, Unreadable) as error:
        yield source.bad(str(error))
    except Exception as error:  # of a broken file the libraries raise anything
        yield source.bad(broken(source, error))
    else:
        yield source.document(clean(text), {name: value for name, value in about.items() if value}, fields)


def package(raw: bytes) -> io.BytesIO:
    """The package, to be read; raises `Unreadable` where it is none, or would unpack to more than it may."""
    file = io.BytesIO(raw)
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable("it is encrypted, or of a version before 2007; save it anew without a password")
    try:
        with zipfile.ZipFile(file) as parts:
            found = parts.infolist()
    except zipfile.BadZipFile as error:
        raise Unreadable(f"it is no package of an office: {error}") from None
    if len(found) > MAX_PARTS:
        raise Unreadable(f"it has {len(found):,} parts, more than {MAX_PARTS:,}")
    for size, most in (
        (sum(part.file_size for part in found), MAX_UNPACKED),
        (max((part.file_size for part in found if part.filename.endswith(_XML)), default=0), _MAX_XML),
    ):
        if size > most:
            raise Unreadable(f"it unpacks to {size:,} bytes, more than {most:,}")
    file.seek(0)
    return file


def broken(source: Source, error: Exception) -> str:
    """Why a file of an office could not be read."""
    said = " ".join(str(error).split())[:300]
    return f"it is broken, or no {source.format}: {type(error).__name__}: {said}".rstrip(": ")


def paragraphs(parts: Iterable[str]) -> str:
    """Pieces of text with an empty line between each."""
    return "\n\n".join(part.strip() for part in parts if part.strip())


def table(rows: Iterable[Iterable[str]]) -> str:
    """Cells, a row a line."""
    return "\n".join(" | ".join(" ".join(cell.split()) for cell in row) for row in rows)


def clean(text: str) -> str:
    """``text`` without what is no character: surrogates that stand alone, and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
