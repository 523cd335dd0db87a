"""``embedkit ingest`` and ``sync`` of pictures."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("PIL")
pytest.importorskip("sqlite_vec")

import embedkit
from helpers.commands import error
from helpers.image_bundles import picture_bundle
from helpers.pictures import drawn, folder, saved

PHOTOS = ("--store", "sqlite-vec:photos.db", "--collection", "photos")


def stored(where):
    with embedkit.open_store(f"sqlite-vec:{where / 'photos.db'}") as store:
        return {record.id: record for record in store.open("photos").records()}


def test_a_table_of_pictures_with_captions(run, tmp_path):
    bundle = picture_bundle(tmp_path / "colors")
    folder(tmp_path / "photos", 3)
    exif = drawn().getexif()
    exif[0x010F], exif[0x0110] = "Maker", "Model 1"
    exif.get_ifd(0x8825)[1] = "N"
    (tmp_path / "photos" / "shot.jpg").write_bytes(saved(drawn(), "JPEG", exif=exif))
    lines = ["file,caption", "picture00.png,a first one", "shot.jpg,with a camera", "gone.png,nothing"]
    (tmp_path / "photos" / "t.csv").write_text("\n".join(lines) + "\n")
    given = (
        "photos/t.csv",
        "--image-field",
        "file",
        "--text-field",
        "caption",
        "--root",
        "photos",
        "--exif",
        "time,camera",
    )
    code, out, _ = run("ingest", bundle, *given, *PHOTOS)
    assert code == 0
    assert "3 read, 2 written" in out
    assert "2 pictures encoded" in out
    rows = stored(tmp_path)
    assert rows["shot.jpg"].text == "with a camera"
    assert rows["shot.jpg"].metadata["uri"] == "shot.jpg"
    assert rows["shot.jpg"].metadata["camera"] == "Maker Model 1"
    assert "N" not in rows["shot.jpg"].metadata.values()
    assert "cannot be read" in json.loads((tmp_path / "photos.dead.jsonl").read_text())["reason"]
    assert (
        "to encode 1 pictures"
        in run("ingest", bundle, "photos/picture01.jpg", "--root", "photos", *PHOTOS, "--dry-run")[1]
    )
    assert "exif: expected one of time, camera" in error(run("ingest", bundle, "photos", "--exif", "gps", *PHOTOS))


def test_the_fast_way_is_a_space_of_its_own(run, tmp_path):
    bundle = picture_bundle(tmp_path / "colors")
    folder(tmp_path / "photos", 3)
    assert run("ingest", bundle, "photos", "--decode", "fast", *PHOTOS)[0] == 0
    asked = ("search", bundle, "--image", "photos/picture01.jpg", *PHOTOS, "-k", 1)
    assert "give --decode" in error(run(*asked))
    assert run(*asked, "--decode", "fast")[1].startswith("  1.  1.0000  picture01.jpg")
