"""Packages: how large they may be, and what is none."""

from __future__ import annotations

import io
import zipfile

import pytest

from embedkit.ingestion.readers.office import package as module
from embedkit.ingestion.readers.office.package import clean, package
from embedkit.ingestion.rows.row import BadRow
from embedkit.system.files.lines import Unreadable

from .conftest import rows_of


def packed(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in parts.items():
            file.writestr(name, part)
    return out.getvalue()


@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx"])
def test_a_zip_bomb_is_not_unpacked(tmp_path, suffix):
    raw = packed({"[Content_Types].xml": b" " * (129 << 20)})
    assert len(raw) < 1 << 20
    (row,) = rows_of(tmp_path, f"a.{suffix}", raw)
    assert isinstance(row, BadRow)
    assert "unpacks to 135,266,304 bytes, more than 134,217,728" in row.reason


def test_many_parts_and_all_parts_together(monkeypatch):
    monkeypatch.setattr(module, "MAX_PARTS", 3)
    monkeypatch.setattr(module, "MAX_UNPACKED", 100)
    assert package(packed({"a": b"x" * 50, "b": b"x" * 50})).read(2) == b"PK"
    with pytest.raises(Unreadable, match="4 parts"):
        package(packed(dict.fromkeys("abcd", b"")))
    with pytest.raises(Unreadable, match="101 bytes"):
        package(packed({"a": b"x" * 51, "b": b"x" * 50}))


@pytest.mark.parametrize(
    ("raw", "said"), [(b"\xd0\xcf\x11\xe0 old", "before 2007"), (b"text", "no package"), (b"", "no package")]
)
def test_what_is_no_package(tmp_path, raw, said):
    (row,) = rows_of(tmp_path, "a.docx", raw)
    assert said in row.reason


def test_what_is_no_character():
    assert clean("a\0b\ud800c🎉") == "a\ufffdb?c🎉"
