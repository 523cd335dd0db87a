from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

pytest.importorskip("PIL")

from embedkit.ingestion.readers.media.pictures import caption_beside, of_file, picture_facts
from embedkit.runtime.frontends.media import Undecodable
from helpers.pictures import drawn, saved


def shot(
    make: str = "Canon", model: str = "Canon EOS 5D\0", *, taken: str = "2024:05:01 10:20:30", offset: str = ""
) -> bytes:
    exif = drawn().getexif()
    exif[0x010F], exif[0x0110], exif[0x0112] = make, model, 6
    inside = exif.get_ifd(0x8769)
    inside[0x9003] = taken
    if offset:
        inside[0x9011] = offset
    inside[0xA431] = "serial 123"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    return saved(drawn(60, 40), "JPEG", exif=exif)


def test_what_is_kept_and_what_never_is() -> None:
    data = shot()
    plain = {"media": "image", "width": 40, "height": 60, "sha256": hashlib.sha256(data).hexdigest()}
    assert picture_facts(data) == plain
    assert picture_facts(data, ["time"]) == plain | {"taken": "2024-05-01T10:20:30"}
    assert picture_facts(data, ["camera"]) == plain | {"camera": "Canon EOS 5D"}
    whole = picture_facts(shot("FUJIFILM", "X-T4", offset="+02:00"), ["time", "camera"])
    assert (whole["taken"], whole["camera"]) == ("2024-05-01T10:20:30+02:00", "FUJIFILM X-T4")
    assert set(whole) == {"media", "width", "height", "sha256", "taken", "camera"}


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "yesterday", "    :  :     :  :  "])
def test_a_camera_without_a_clock(taken: str) -> None:
    assert "taken" not in picture_facts(shot(taken=taken), ["time"])
    assert "taken" not in picture_facts(saved(drawn(), "PNG"), ["time", "camera"])


def test_a_camera_cannot_steer_a_terminal() -> None:
    assert picture_facts(shot("A\x1b[2J", "B\nC"), ["camera"])["camera"] == "A [2J B C"


def test_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(shot())
    (tmp_path / "a.txt").write_text(" a cat \n")
    assert of_file(str(tmp_path / "a.jpg"))["width"] == 40
    assert caption_beside(str(tmp_path / "a.jpg")) == "a cat"
    assert caption_beside(str(tmp_path / "b.jpg")) == ""
    with pytest.raises(Undecodable, match="cannot be read"):
        of_file(str(tmp_path / "gone.jpg"))


@pytest.mark.skipif(os.name != "posix", reason="pipes are files here")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cat.jpg")
    os.mkfifo(tmp_path / "cat.txt")
    with pytest.raises(Undecodable, match=r"cat.jpg: no file but a pipe"):
        of_file(str(tmp_path / "cat.jpg"))
    assert caption_beside(str(tmp_path / "cat.jpg")) == ""
