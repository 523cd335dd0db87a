from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import InputError, OptionError
from embedkit.ingestion.rows.media import MediaFields, located


def test_paths_are_kept_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    fields = MediaFields.of(None, tmp_path / "photos", None)
    assert fields.uri(str(tmp_path / "photos" / "a" / "b.jpg")) == "a/b.jpg"
    monkeypatch.chdir(tmp_path)
    assert fields.uri("photos/a/../a/b.jpg") == "a/b.jpg"
    monkeypatch.chdir(tmp_path / "photos")
    assert fields.uri("a/b.jpg") == "a/b.jpg"
    assert fields.uri("..b.jpg") == "..b.jpg", "a name that begins with dots is below it"
    with pytest.raises(ValueError, match="is not below the root"):
        fields.uri("../b.jpg")
    assert MediaFields().uri("a//b.jpg") == "a//b.jpg", "as it was opened"


def test_what_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="root: expected a folder"):
        MediaFields.of(None, tmp_path / "file", None)
    with pytest.raises(InputError, match="image_field"):
        MediaFields.of("", None, None)
    for wrong in (["gps"], ["time", "place"]):
        with pytest.raises(OptionError, match="exif: expected one of time, camera"):
            MediaFields.of(None, None, wrong)
    with pytest.raises(InputError, match="put one name in a list"):
        MediaFields.of(None, None, "time")
    assert MediaFields.of("f", None, ["camera", "camera"]) == MediaFields("f", None, ("camera",))


def test_where_a_row_lies() -> None:
    row = {"uri": "a/b.jpg", "x": 1}
    assert located(row, None) is row
    assert located(row, "/photos") == {"uri": "/photos/a/b.jpg", "x": 1}
    assert located({"uri": "/other/b.jpg"}, "/photos") == {"uri": "/other/b.jpg"}
    assert located({"uri": 3}, "/photos") == {"uri": 3}
