"""Plain text: a file is one document."""

from __future__ import annotations

import pytest

from embedkit.ingestion import FileRows
from embedkit.system.files import lines as pieces


def rows(path, **options):
    return list(FileRows([path], **options))


def test_a_text_file_is_one_document(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_bytes(b"\xef\xbb\xbf# Titel\n\xc3\xa9\n")
    (row,) = rows("note.txt")
    assert (row.id, row.text, row.metadata) == ("note.txt", "# Titel\né\n", {"path": "note.txt"})


def test_a_text_file_that_is_no_text_is_bad(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"ok\xff")
    (bad,) = rows(tmp_path / "a.txt")
    assert "not valid UTF-8: byte 0xff at 2" in bad.reason
    monkeypatch.setattr(pieces, "MAX_BYTES", 2)
    (bad,) = rows(tmp_path / "a.txt")
    assert "longer than 2 bytes" in bad.reason


def test_a_text_file_that_vanishes_meanwhile_is_bad(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    files = FileRows([path])
    path.unlink()
    assert "cannot be read" in next(iter(files)).reason


@pytest.mark.parametrize("raw", [b"", b" \n", b"a\r\nb", b"\0", "\u2028é".encode()])
def test_the_text_stays_as_it_is(tmp_path, raw):
    (tmp_path / "a.txt").write_bytes(raw)
    (row,) = rows(tmp_path / "a.txt")
    assert row.text.encode() == raw
