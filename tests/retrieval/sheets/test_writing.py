from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("PIL")

from PIL import Image

from embedkit import Hit, InputError
from embedkit.retrieval.sheets import Sheet, check_sheet, write_sheet
from helpers.pictures import drawn


def test_a_png_or_a_page_by_the_name(tmp_path: Path) -> None:
    drawn().save(tmp_path / "a.png")
    sheet = Sheet.of(["a \ud800 cat"], [[Hit("a", 0.5, "", {"uri": str(tmp_path / "a.png")})]])
    write_sheet(tmp_path / "sheet.PNG", sheet)
    with Image.open(tmp_path / "sheet.PNG") as found:
        assert (found.format, found.mode) == ("PNG", "RGB")
    write_sheet(tmp_path / "sheet.html", sheet)
    assert (tmp_path / "sheet.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "sheet.PNG", "sheet.html"]


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "nowhere/sheet.png"])
def test_a_name_that_cannot_be_written_is_told_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the name of a"):
        check_sheet(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="folder that exists"):
        check_sheet(tmp_path / "folder.png")
