"""Files of offices: written by the libraries that read them, by hand where those cannot write, and broken."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedkit.ingestion import FileRows
from embedkit.ingestion.rows.row import BadRow

for module in ("docx", "openpyxl", "pptx", "pypdf"):
    pytest.importorskip(module)


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF whose pages show these texts in Helvetica, written by hand."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    font = b"<< /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >> >> >>"
    kids = []
    for page in pages:
        shown = b"".join(b"(%s) Tj T* " % line.encode("latin-1") for line in page.split("\n"))
        stream = b"BT /F 12 Tf 14 TL 72 700 Td %s ET" % shown if page else b""
        kids.append(b"%d 0 R" % (len(objects) + 1))
        contents = len(objects) + 2
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources %s /Contents %d 0 R >>" % (font, contents)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    objects.append(b"<< /Title (%s) >>" % title.encode())
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer << /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        len(objects),
        start,
    )


def saved(made: Any) -> bytes:
    """What a document of one of the libraries is as a file."""
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def repacked(raw: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A package with its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, change(part.filename, old.read(part)))
    return out.getvalue()


def rows_of(folder: Path, name: str, raw: bytes, **options: Any) -> list[Any]:
    """The rows of a file with these bytes."""
    (folder / name).write_bytes(raw)
    return list(FileRows([folder / name], **options))


def assert_broken_files_are_bad_rows(folder: Path, name: str, raw: bytes) -> None:
    """Cut or changed at random bytes, the file is read or is one bad row, and raises nothing."""
    random_bytes = random.Random(7)
    bad = 0
    for turn in range(25):
        broken = bytearray(raw[: random_bytes.randrange(len(raw))] if turn % 2 else raw)
        for _ in range(0 if turn % 2 else 20):
            broken[random_bytes.randrange(len(broken))] = random_bytes.randrange(256)
        found = rows_of(folder, name, bytes(broken))
        bad += any(isinstance(row, BadRow) for row in found)
    assert bad >= 12
