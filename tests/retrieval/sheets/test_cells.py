from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("PIL")

from PIL import Image

import embedkit
from embedkit import Hit
from embedkit.retrieval.sheets.cells import EDGE, Sheet, one_plain_line
from helpers.pictures import drawn, saved, with_alpha


def hit(name: str, uri: object = None, text: str = "", score: float = 0.5) -> Hit:
    return Hit(name, score, text, {} if uri is None else {"uri": uri})


def test_a_row_of_cells_for_each_query(tmp_path: Path) -> None:
    drawn(60, 400).save(tmp_path / "a.png")
    drawn(800, 400, 1).save(tmp_path / "b.png")
    hits = [hit("a.png", str(tmp_path / "a.png"), "a caption", 0.91234), hit("b.png", str(tmp_path / "b.png"), "b.png")]
    sheet = Sheet.of([tmp_path / "a.png", "a cat"], [hits, hits[:1]], first=11)
    (query, first, second), (words, again) = sheet.rows
    assert (query.query, words.query, first.query) == (True, True, False)
    assert first.head == "11.   0.9123"
    assert second.head == "12.   0.5000"
    assert first.lines == ("a.png", "a caption")
    assert second.lines == ("b.png",), "a caption that is the id is not said twice"
    assert (words.picture, words.missing, words.lines) == (None, "", ("a cat",))
    assert again == first or again.lines == first.lines
    assert second.picture.size == (EDGE, EDGE // 2)
    assert first.picture.size[1] == EDGE


def test_pictures_are_upright_and_stand_on_white(tmp_path: Path) -> None:
    left = Image.new("RGB", (40, 20), (255, 0, 0))
    left.paste((0, 0, 255), (20, 0, 40, 20))
    exif = left.getexif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    (tmp_path / "turned.jpg").write_bytes(saved(left, "JPEG", exif=exif, quality=95, subsampling=0))
    (tmp_path / "clear.png").write_bytes(saved(with_alpha(10, 10)))
    found = Sheet.of([tmp_path / "turned.jpg"], [[hit("clear", str(tmp_path / "clear.png"))]]).rows[0]
    assert found[0].picture.size == (20, 40)
    assert found[0].picture.getpixel((10, 5))[0] > 200
    assert found[0].picture.getpixel((10, 35))[2] > 200
    assert found[1].picture.getpixel((0, 5)) == (255, 255, 255)


def test_what_cannot_be_shown_says_why(tmp_path: Path) -> None:
    (tmp_path / "half.png").write_bytes(saved(drawn())[:200])
    (tmp_path / "text.jpg").write_text("a text")
    (tmp_path / "folder.png").mkdir()
    hits = [
        hit("gone", str(tmp_path / "gone.png")), hit("half", str(tmp_path / "half.png")), hit("text", str(tmp_path / "text.jpg")),
        hit("folder", str(tmp_path / "folder.png")), hit("none"), hit("number", 7), hit("nul", "a\0b.png"),
    ]  # fmt: skip
    cells = Sheet.of(["q"], [hits]).rows[0][1:]
    assert [cell.picture for cell in cells] == [None] * 7
    wanted = (
        "missing: .*gone.png",
        "broken or truncated PNG",
        "no picture: expected",
        "cannot be read",
        "no uri",
        "no uri",
        "",
    )
    for cell, reason in zip(cells, wanted, strict=True):
        assert pytest.importorskip("re").search(reason, cell.missing)
        assert cell.missing


def test_a_relative_uri_is_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    drawn().save(tmp_path / "photos" / "a.png")
    found = Sheet.of(["q"], [[hit("a", "photos/a.png")]], root=tmp_path)
    assert found.rows[0][1].picture is not None
    assert Sheet.of(["q"], [[hit("a", "photos/a.png")]]).rows[0][1].missing
    monkeypatch.chdir(tmp_path)
    assert Sheet.of(["q"], [[hit("a", "photos/a.png")]]).rows[0][1].picture is not None


def test_a_query_may_be_any_picture() -> None:
    picture = drawn()
    for query in (picture, embedkit.Image(saved(picture))):
        (cell,) = Sheet.of([query], [[]]).rows[0]
        assert cell.picture.size == picture.size
        assert cell.lines == ()
    assert picture.size == (60, 40), "what was given stays as it was"


def test_plain_text_steers_nothing() -> None:
    assert one_plain_line("a\x1b[2J\n b\u202e") == "a\ufffd[2J b\ufffd"
