"""Sounds: a file is one document, whose text is its caption."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from embedkit.ingestion import FileRows
from embedkit.ingestion.rows.row import BadRow, SourcedDocument

pytest.importorskip("soundfile")
import soundfile

from helpers.audio_bundles import tone


def saved(kind: str = "WAV", seconds: float = 0.5, rate: int = 16_000, subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, tone(440, seconds, rate), rate, format=kind, subtype=subtype)
    return out.getvalue()


def sounds(where: Path) -> Path:
    (where / "sub").mkdir(parents=True)
    (where / "rain.wav").write_bytes(saved())
    (where / "rain.txt").write_text(" Rain on a roof.\n")
    (where / "sub" / "A.FLAC").write_bytes(saved("FLAC", 1.25, 44_100))
    for name, kind, subtype in [
        ("b.mp3", "MP3", None),
        ("c.ogg", "OGG", None),
        ("d.opus", "OGG", "OPUS"),
        ("e.aiff", "AIFF", None),
    ]:
        (where / "sub" / name).write_bytes(saved(kind, subtype=subtype))
    (where / "photo.jpg").write_bytes(b"\xff\xd8\0")
    return where


def test_a_folder_of_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sounds(tmp_path / "sounds")
    files = FileRows(["sounds"]).media("audio")
    rows = {row.id: row for row in files}
    assert list(rows) == ["rain.wav", "sub/A.FLAC", "sub/b.mp3", "sub/c.ogg", "sub/d.opus", "sub/e.aiff"]
    assert sorted(files.skipped) == ["sounds/photo.jpg", "sounds/rain.txt"]
    first = rows["rain.wav"]
    assert isinstance(first, SourcedDocument)
    assert first.text == "Rain on a roof."
    assert first.metadata == {
        "path": "rain.wav", "uri": "sounds/rain.wav", "media": "audio", "seconds": 0.5,
        "sha256": hashlib.sha256((tmp_path / "sounds" / "rain.wav").read_bytes()).hexdigest(),
    }  # fmt: skip
    for name, seconds in {"sub/A.FLAC": 1.25, "sub/e.aiff": 0.5, "sub/c.ogg": 0.5}.items():
        row = rows[name]
        assert isinstance(row, SourcedDocument)
        assert (row.text, row.metadata["seconds"]) == (name, seconds)
    for name in ("sub/b.mp3", "sub/d.opus"):
        row = rows[name]
        assert isinstance(row, SourcedDocument)
        assert row.metadata["seconds"] == pytest.approx(0.5, abs=0.1)  # some codecs add what they need


def test_what_is_no_sound_is_bad_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("a text")
    (tmp_path / "half.flac").write_bytes(saved("FLAC")[:40])
    (tmp_path / "cut.wav").write_bytes(saved()[:-100])
    none = io.BytesIO()
    soundfile.write(none, np.zeros(0, np.float32), 16_000, format="WAV")
    (tmp_path / "none.wav").write_bytes(none.getvalue())
    (tmp_path / "good.wav").write_bytes(saved())
    (tmp_path / "good.txt").write_bytes(b"\xff")
    reasons = {row.id: row.reason for row in FileRows([tmp_path], format="audio") if isinstance(row, BadRow)}
    assert list(reasons) == ["cut.wav", "empty.wav", "good.wav", "half.flac", "none.wav", "text.wav"]
    assert "the file is empty (0 bytes)" in reasons["empty.wav"]
    assert f"its caption {tmp_path / 'good.txt'} is not valid UTF-8" in reasons["good.wav"]
    assert "a broken or cut FLAC file" in reasons["half.flac"]
    assert "a WAV file that ends 100 bytes too early" in reasons["cut.wav"]
    assert "it has no sample" in reasons["none.wav"]
    assert "no sound that can be read: expected WAV" in reasons["text.wav"]


def test_sounds_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    sounds(tmp_path / "sounds")
    assert [row.id for row in FileRows([tmp_path / "sounds"])] == ["rain.txt"]
    assert [row.id for row in FileRows([tmp_path / "sounds" / "rain.wav"]).media("audio")] == [
        str(tmp_path / "sounds" / "rain.wav")
    ]
    left = FileRows([tmp_path / "sounds" / "rain.wav"])
    assert left.media("image") is left
