"""Pictures: a file is one document, whose text is its caption."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from embedkit.errors import InputError
from embedkit.ingestion import FileRows
from embedkit.ingestion.rows.row import BadRow, SourcedDocument

pytest.importorskip("PIL")
from helpers.pictures import drawn, saved


def photos(where: Path) -> Path:
    (where / "sub").mkdir(parents=True)
    upright = saved(drawn(60, 40), "JPEG")
    exif = drawn().getexif()
    exif[0x0112] = 6
    (where / "cat.jpg").write_bytes(upright)
    (where / "cat.txt").write_text(" A cat on a wall.\n")
    (where / "sub" / "Turned.JPEG").write_bytes(saved(drawn(60, 40, 1), "JPEG", exif=exif))
    (where / "sub" / "b.png").write_bytes(saved(drawn(7, 9, 2)))
    (where / "notes.md").write_text("# no picture")
    return where


def test_a_folder_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    files = FileRows(["photos"], format="image")
    rows = {row.id: row for row in files}
    assert list(rows) == ["cat.jpg", "sub/Turned.JPEG", "sub/b.png"]
    assert sorted(files.skipped) == ["photos/cat.txt", "photos/notes.md"]
    first = rows["cat.jpg"]
    assert isinstance(first, SourcedDocument)
    assert first.text == "A cat on a wall."
    assert first.metadata == {
        "path": "cat.jpg", "uri": "photos/cat.jpg", "media": "image", "width": 60, "height": 40,
        "sha256": hashlib.sha256((tmp_path / "photos" / "cat.jpg").read_bytes()).hexdigest(),
    }  # fmt: skip
    turned, small = rows["sub/Turned.JPEG"], rows["sub/b.png"]
    assert isinstance(turned, SourcedDocument)
    assert isinstance(small, SourcedDocument)
    assert (turned.text, turned.metadata["width"], turned.metadata["height"]) == ("sub/Turned.JPEG", 40, 60)
    assert (small.metadata["width"], small.metadata["height"]) == (7, 9)


def test_the_uri_is_kept_whatever_else_is(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    (row,) = FileRows([tmp_path / "photos" / "cat.jpg"], format="image", metadata_fields=["width"])
    assert isinstance(row, SourcedDocument)
    assert row.metadata == {"width": 60, "uri": str(tmp_path / "photos" / "cat.jpg")}


def test_what_is_no_picture_is_bad_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a text")
    (tmp_path / "half.png").write_bytes(saved(drawn())[:20])
    (tmp_path / "good.png").write_bytes(saved(drawn()))
    (tmp_path / "good.txt").write_bytes(b"\xff")
    reasons = {row.id: row.reason for row in FileRows([tmp_path], format="image") if isinstance(row, BadRow)}
    assert list(reasons) == ["empty.jpg", "good.png", "half.png", "text.jpg"]
    assert "the file is empty (0 bytes)" in reasons["empty.jpg"]
    assert f"its caption {tmp_path / 'good.txt'} is not valid UTF-8" in reasons["good.png"]
    assert "broken picture" in reasons["half.png"] or "no picture" in reasons["half.png"]
    assert "no picture: expected JPEG, PNG, WEBP, GIF, BMP, TIFF or AVIF, found" in reasons["text.jpg"]


def test_pictures_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    files = FileRows([tmp_path / "photos"])
    assert [row.id for row in files] == ["cat.txt", "notes.md"]
    assert len(files.skipped) == 3
    assert [row.id for row in files.media("image")] == ["cat.jpg", "sub/Turned.JPEG", "sub/b.png"]
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "x"}\n')
    for left in (FileRows([tmp_path / "a.jsonl"]), FileRows([tmp_path / "photos"], format="markdown")):
        assert left.media("image") is left
    with pytest.raises(InputError, match="cannot read"):
        FileRows([tmp_path / "gone.jpg"], format="image")
