"""``embedkit search`` of pictures, with a contact sheet of the hits."""

from __future__ import annotations

import pytest

pytest.importorskip("PIL")

from PIL import Image

from helpers.commands import error
from helpers.image_bundles import COLORS, picture_bundle

PHOTOS = ("--store", "sqlite-vec:photos.db", "--collection", "photos")


@pytest.fixture
def photos(folder):
    (folder / "photos").mkdir()
    for name, color in COLORS.items():
        Image.new("RGB", (40, 30), color).save(folder / "photos" / f"{name}.png")
    return folder / "photos"


def test_a_contact_sheet_of_the_hits(run, folder, photos):
    pytest.importorskip("sqlite_vec")
    bundle = picture_bundle(folder / "colors")
    assert run("ingest", bundle, "photos", *PHOTOS)[0] == 0
    code, out, _ = run("search", bundle, "--image", "photos/red.png", *PHOTOS, "-k", 4, "--sheet", "s.png")
    assert code == 0
    assert out.startswith("  1.  1.0000  red.png")
    with Image.open("s.png") as sheet:
        seen = {color for _, color in sheet.convert("RGB").getcolors(1 << 20)}
    assert {(255, 0, 0), (255, 255, 0), (255, 0, 255)} <= seen, "red, and of the others the three nearest"
    assert (0, 255, 255) not in seen
    (photos / "red.png").rename(photos / "gone.png")
    assert run("search", bundle, "--image", "photos/gone.png", *PHOTOS, "-k", 1, "--sheet", "s.html")[0] == 0
    assert "missing: photos/red.png is not there" in (folder / "s.html").read_text()


def test_what_does_not_fit_is_told_before_anything_is_loaded(run, photos):
    given = ("search", "nowhere", "--image", "photos/red.png", *PHOTOS)
    assert "FILE.png or FILE.html" in error(run(*given, "--sheet", "s.jpg"))
    assert "--root with --sheet only" in run(*given, "--root", "photos")[2]
